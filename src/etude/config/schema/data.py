"""The settings of `conf/dataset/` and `conf/augment/`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from etude.config.schema.rules import (
    NO_RESULT,
    Counting,
    Fraction,
    Plain,
    Portion,
    Positive,
    Probability,
    Rule,
    Seed,
    Share,
    since,
)


@dataclass
class DatasetConf(Plain):
    """What every data set has: its size in pixels, its values, and how it is divided."""

    input_size: Counting | None
    load_size: Counting | None = field(metadata=since(None))
    interpolation: Literal["bilinear", "nearest", "lanczos", "pad"]
    normalize: Literal["none", "unit", "mean_std", "mean_only", "pixel_mean", "caffe", "lecun"]
    mean: list[float] | None
    std: list[Positive] | None
    validation_split: Literal["none", "last_fraction", "seeded_fraction", "stratified"]
    validation_fraction: Share
    split_seed: Seed
    limit_train: Counting | None
    limit_test: Counting | None


@dataclass
class DownloadedConf(DatasetConf):
    """A published data set below a root folder, in torchvision's layout."""

    root: str = field(metadata=NO_RESULT)
    download: bool = field(metadata=NO_RESULT)


@dataclass
class FolderConf(DatasetConf):
    """Folders of classes; `name` stands for their content where it is not on this machine."""

    root: str = field(metadata=NO_RESULT)
    name: str = field(metadata=NO_RESULT)
    train: str
    validation: str | None = field(metadata=since(None))
    test: str
    labels: str | None = field(metadata={**NO_RESULT, **since(None)})
    classes: list[str] | None = field(metadata=since(None))
    test_fraction: Share = field(metadata=since(0.2))
    on_bad_image: Literal["error", "skip"] = field(metadata={**NO_RESULT, **since("error")})
    fit: Literal["stretch", "crop"] = field(metadata=since("stretch"))
    cut_from: Literal["kept", "original"] = field(metadata=since("kept"))
    stream: bool | None = field(metadata=NO_RESULT)

    def __post_init__(self) -> None:
        # They are taken in alphabetical order, so in whichever order they are typed it is one run.
        self.classes = None if self.classes is None else sorted(self.classes)


@dataclass
class Flowers17Conf(DatasetConf):
    """Settings of `etude.data.sources.flowers17.Flowers17`."""

    root: str = field(metadata=NO_RESULT)
    test_fraction: Share
    shuffle_seed: Seed
    stream: bool | None = field(metadata=NO_RESULT)


@dataclass
class AugmentConf(Plain):
    """Settings of `etude.data.augment.augment.Augment`; null or 0 turns a part off."""

    crop: Literal["place", "area"] | None = field(metadata=since(None))
    scales: list[Counting] | None = field(metadata=since(None))
    crop_area: list[Portion] = field(metadata=since([0.08, 1.0]))
    crop_aspect: list[Positive] = field(metadata=since([0.75, 1.3333]))
    interpolation: Literal["nearest", "bilinear", "bicubic", "random"] = field(
        metadata=since("bilinear")
    )
    shift_fraction: Fraction | None
    rotation_degrees: Annotated[float, Rule("0 to 180", lambda v: 0 <= v <= 180)] | None = field(
        metadata=since(0.0)
    )
    shear_degrees: Annotated[float, Rule("0 to 89", lambda v: 0 <= v <= 89)] | None = field(
        metadata=since(0.0)
    )
    zoom: Fraction | None = field(metadata=since(0.0))
    fill: Literal["constant", "nearest"]
    fill_value: float
    flip_probability: Probability
    crop_padding: Annotated[int, Rule("0 to 1024", lambda v: 0 <= v <= 1024)]
    photometric: Probability | None = field(metadata=since(0.0))
    colour_std: Annotated[float, Rule("0 to 10", lambda v: 0 <= v <= 10)] | None = field(
        metadata=since(0.0)
    )
    erase_probability: Probability
    erase_area: list[Portion]
    erase_ratio: list[Positive]
    erase_fit: Literal["again", "cut"] = field(metadata=since("cut"))
    erase_fill: Literal["value", "noise"] = field(metadata=since("value"))
    erase_value: float
    erase_noise: list[float] = field(metadata=since([0.0, 255.0]))
    after_normalize: bool
