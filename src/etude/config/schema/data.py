"""The settings of `conf/dataset/` and `conf/augment/`."""

from dataclasses import dataclass

from etude.config.schema.rules import (
    Plain,
    counting,
    fraction,
    one_of,
    positive,
    seeding,
    setting,
)


@dataclass
class Dataset(Plain):
    """What every data set has: its size in pixels, its values, and how it is divided."""

    input_size: int | None = counting()
    load_size: int | None = counting(since=None)
    interpolation: str = one_of("bilinear", "nearest", "lanczos", "pad")
    normalize: str = one_of("none", "unit", "mean_std", "mean_only", "pixel_mean", "caffe", "lecun")
    mean: list[float] | None = setting()
    std: list[float] | None = positive()
    validation_split: str = one_of("none", "last_fraction", "seeded_fraction", "stratified")
    validation_fraction: float = fraction(zero=False)
    split_seed: int = seeding()
    limit_train: int | None = counting()
    limit_test: int | None = counting()


@dataclass
class Downloaded(Dataset):
    """A published data set below a root folder, in torchvision's layout."""

    root: str = setting(result=False)
    download: bool = setting(result=False)


@dataclass
class Folder(Dataset):
    """Folders of classes; `name` stands for the data in the fingerprint, which holds no paths."""

    root: str = setting(result=False)
    name: str = setting()
    train: str = setting()
    test: str = setting()
    fit: str = one_of("stretch", "crop", since="stretch")
    stream: bool | None = setting(result=False)


@dataclass
class Flowers17(Dataset):
    """Settings of `etude.data.flowers17.Flowers17`."""

    root: str = setting(result=False)
    test_fraction: float = fraction(zero=False)
    shuffle_seed: int = seeding()
    stream: bool | None = setting(result=False)


@dataclass
class Augment(Plain):
    """Settings of `etude.data.augment.Augment`; null or 0 turns a part off."""

    crop: str | None = one_of("place", "area", since=None)
    scales: list[int] | None = counting(since=None)
    crop_area: list[float] = fraction(zero=False, one=True, since=[0.08, 1.0])
    crop_aspect: list[float] = positive(since=[0.75, 1.3333])
    interpolation: str = one_of("nearest", "bilinear", "bicubic", "random", since="bilinear")
    shift_fraction: float | None = fraction()
    rotation_degrees: float | None = setting("0 to 180", lambda v: 0 <= v <= 180, since=0.0)
    shear_degrees: float | None = setting("0 to 89", lambda v: 0 <= v <= 89, since=0.0)
    zoom: float | None = fraction(since=0.0)
    fill: str = one_of("constant", "nearest")
    fill_value: float = setting()
    flip_probability: float = fraction(one=True)
    crop_padding: int = setting("0 to 1024", lambda v: 0 <= v <= 1024)
    photometric: float | None = fraction(one=True, since=0.0)
    colour_std: float | None = setting("0 to 10", lambda v: 0 <= v <= 10, since=0.0)
    erase_probability: float = fraction(one=True)
    erase_area: list[float] = fraction(zero=False, one=True)
    erase_ratio: list[float] = positive()
    erase_fill: str = one_of("value", "noise", since="value")
    erase_value: float = setting()
    erase_noise: list[float] = setting(since=[0.0, 255.0])
    after_normalize: bool = setting()
