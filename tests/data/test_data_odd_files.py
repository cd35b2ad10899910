"""Folders as people have them: parts of any name, tables, and files of every odd kind."""

import logging
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from etude.base.errors import UserError
from etude.data.prepare import prepare
from etude.data.sources import listing
from etude.data.sources.folder import Folder
from etude.data.sources.layout import Division, Layout

NOISE = np.random.default_rng(0).integers(0, 256, (24, 18, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)
GREY = NOISE[:, :, 0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))


def fill(folder: Path, *classes: str, count: int = 5) -> Path:
    """Class folders with images that all differ."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed = zlib.crc32(f"{folder.name}/{name}/{number}".encode())
            pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def divided(root: Path, **changes: object) -> Division:
    usual = {
        "train": "train", "validation": None, "test": "test", "labels": None,
        "test_fraction": 0.2, "seed": 0,
    }  # fmt: skip
    return Layout(root, **(usual | changes)).divide()  # type: ignore[arg-type]


def sizes(parts: Division) -> dict[str, int]:
    return {name: len(part.images) for name, part in parts.parts().items()}


# Layouts.


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Validation"])
def test_a_validation_part_is_found_by_its_name_and_is_no_test(tmp_path: Path, name: str):
    for part in ("train", name):
        fill(tmp_path / part, "cat", "dog")
    parts = divided(tmp_path)
    assert sizes(parts) == {"train": 8, "validation": 10, "test": 2}
    assert sorted(parts.test.labels) == [0, 1]
    assert not {i.path for i in parts.train.images} & {i.path for i in parts.test.images}
    fill(tmp_path / "test", "cat", "dog", count=3)
    assert sizes(divided(tmp_path)) == {"train": 10, "validation": 10, "test": 6}


def test_a_part_that_is_asked_for_as_the_test_does_not_validate(tmp_path: Path):
    for part in ("train", "val"):
        fill(tmp_path / part, "cat", "dog")
    assert sizes(divided(tmp_path, test="val")) == {"train": 10, "test": 10}


def test_one_folder_of_classes_is_divided_by_class(tmp_path: Path):
    fill(tmp_path, "cat", "dog", "tree frog", count=10)
    parts = divided(tmp_path)
    assert sizes(parts) == {"train": 24, "test": 6}
    assert parts.train.classes == ("cat", "dog", "tree frog")
    assert [parts.test.labels.count(n) for n in range(3)] == [2, 2, 2]
    again, other = divided(tmp_path), divided(tmp_path, seed=1)
    assert [i.path for i in again.test.images] == [i.path for i in parts.test.images]
    assert [i.path for i in other.test.images] != [i.path for i in parts.test.images]
    assert sizes(divided(tmp_path, test_fraction=0.5)) == {"train": 15, "test": 15}


def test_capitals_and_other_names_of_the_parts_are_known(tmp_path: Path):
    for part in ("Training", "Testing"):
        fill(tmp_path / part, "cat", "dog")
    assert sizes(divided(tmp_path)) == {"train": 10, "test": 10}


@pytest.mark.parametrize(
    ("head", "separator"), [("file,label", ","), ("image;class", ";"), (None, ",")]
)
def test_a_table_of_files_and_classes_is_read(tmp_path: Path, head: str | None, separator: str):
    fill(tmp_path, "x")
    lines = [f"x/{n}.png{separator}{'ça va' if n % 2 else 'no'}" for n in range(5)]
    (tmp_path / "l.csv").write_text("\n".join([head, *lines] if head else lines), encoding="utf-8")
    parts = divided(tmp_path, labels="l.csv", test_fraction=0.4)
    assert parts.train.classes == ("no", "ça va")
    assert sizes(parts) == {"train": 3, "test": 2}
    known = {i.path[-5]: label for p in (parts.train, parts.test) for i, label in
             zip(p.images, p.labels, strict=True)}  # fmt: skip
    assert known == {"0": 0, "1": 1, "2": 0, "3": 1, "4": 0}


def test_a_table_may_say_the_part_and_leave_extensions_out_and_number_its_classes(tmp_path: Path):
    fill(tmp_path, "x", count=6)
    rows = ["id,label,split"]
    rows += [
        f"x/{n},{10 if n % 2 else 9},{p}"
        for n, p in enumerate(["train", "train", "val", "val", "test", "test"])
    ]
    (tmp_path / "l.csv").write_text("\n".join(rows))
    parts = divided(tmp_path, labels="l.csv")
    assert sizes(parts) == {"train": 2, "validation": 2, "test": 2}
    assert parts.train.classes == ("9", "10")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "file,label\nx/0.png,a\nx/9.png,b\n",
            r"not in .*: 1 file that .* names: x/9\.png \(line 3\)",
        ),
        ("file,label\nx/0.png,a\nx/0.png,b\n", r"has x/0\.png twice, on lines 2 and 3"),
        ("file,what\nx/0.png,a\n", "name one of them file, and one label"),
        ("file\nx/0.png\n", "must have two columns"),
        (
            "file,label,split\nx/0.png,a,later\n",
            "later is no part; write train, validation or test",
        ),
        (
            "file,label\nx/0.png,a\nx/1.png,\nx/2.png, \n",
            "lines 3, 4: no label; name its class, or remove it",
        ),
        (
            "file,label,split\nx/0.png,a,train\nx/1.png,a,\n",
            "line 3: no part; write train, validation or test, or remove it",
        ),
        ("file,label,split\nx/0.png,a,test\n", "no image to train on"),
    ],
)
def test_a_table_that_says_too_little_is_refused(tmp_path: Path, text: str, said: str):
    fill(tmp_path, "x")
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        divided(tmp_path, labels="l.csv")
    with pytest.raises(UserError, match=r"dataset\.labels=other\.csv: there is no such file"):
        divided(tmp_path, labels="other.csv")


def test_what_is_missing_is_told_with_what_is_there(tmp_path: Path):
    for part in ("train", "holdout"):
        fill(tmp_path / part, "cat", "dog")
    with pytest.raises(
        UserError, match=r"no folder .*tests; it has holdout, train: set dataset.test="
    ):
        divided(tmp_path, test="tests")
    with pytest.raises(UserError, match="is no folder; give one that has images"):
        divided(tmp_path / "nowhere")


def test_classes_that_only_one_part_has_are_named(tmp_path: Path):
    fill(tmp_path / "train", "cat", "dog")
    fill(tmp_path / "test", "cat", "dog", "newt", "owl")
    with pytest.raises(UserError, match="classes newt, owl are in test but not in train"):
        divided(tmp_path)
    shutil.rmtree(tmp_path / "test")
    fill(tmp_path / "val", "owl")
    with pytest.raises(
        UserError, match="class owl is not in train, so that nothing could learn it"
    ):
        divided(tmp_path)


def test_classes_that_nothing_validates_or_tests_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    fill(tmp_path / "train", "cat", "dog", "newt")
    fill(tmp_path / "train", "owl", count=1)
    fill(tmp_path / "val", "cat", "dog")
    assert divided(tmp_path).train.classes == ("cat", "dog", "newt", "owl")
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{tmp_path / 'val'}: no image to validate classes newt, owl by",
        f"{tmp_path}: no image to test class owl by",
    ]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path, "cat", "dog")
    real = os.scandir

    def scan(folder: str | Path) -> object:
        if Path(folder).name == "dog":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(UserError, match=r"dog cannot be read \(Permission denied\); allow it"):
        divided(tmp_path)


def test_a_name_that_a_locale_cannot_hold_is_told(tmp_path: Path):
    for name, said in (
        ("犬".encode(), "has a class folder 犬, which Python cannot read in this locale"),
        (b"\xff", r"has a class folder b'\\xff', which is no UTF-8; rename it"),
    ):
        with pytest.raises(UserError, match=said):
            listing._check_name(tmp_path, name.decode("ascii", "surrogateescape"))


# Files.


def odd(folder: Path, other: Path) -> dict[str, Path]:
    """One image of every odd kind that is read, by what is odd about it."""
    made: dict[str, Path] = {}

    def save(kind: str, image: Image.Image, name: str, place: Path = folder, **how: object) -> None:
        made[kind] = place / name
        made[kind].parent.mkdir(parents=True, exist_ok=True)
        image.save(made[kind], **how)

    save("capitals in the extension", PICTURE, "a.JPG")
    save("two dots in the name", PICTURE, "b.old.jpeg")
    save("spaces in the name", PICTURE, "c d.png")
    save("Unicode in the name", PICTURE, "é–日本.png")
    save("a class with spaces and Unicode", PICTURE, "1.png", other)
    save("a folder in the class", PICTURE, "inner/deep er/e.png")
    save("BMP", PICTURE, "f.bmp")
    save("WebP", PICTURE, "g.webp")
    save("TIFF", PICTURE, "h.tiff")
    save("PPM", PICTURE, "i.ppm")
    save("8-bit grey", Image.fromarray(GREY), "j.png")
    save("1 bit", Image.fromarray(GREY > 127), "k.png")
    save("16-bit PNG", Image.fromarray(GREY.astype(np.uint16) * 257), "l.png")
    save("16-bit TIFF", Image.fromarray(GREY.astype(np.uint16) * 257), "m.tif")
    save("fractions", Image.fromarray(GREY.astype(np.float32) / 255), "n.tiff")
    save("palette", PICTURE.quantize(16), "o.png")
    save("palette with a transparent colour", PICTURE.quantize(16), "p.png", transparency=3)
    save("RGBA", PICTURE.convert("RGBA"), "q.png")
    save("grey with transparency", PICTURE.convert("LA"), "r.png")
    save("CMYK", PICTURE.convert("CMYK"), "s.jpg")
    save("YCbCr in TIFF", PICTURE.convert("YCbCr"), "t.tif")
    turned = Image.Exif()
    turned[0x0112] = 6
    save("turned by EXIF", PICTURE, "u.jpg", exif=turned)
    save("progressive JPEG", PICTURE, "v.jpg", progressive=True)
    save("one pixel", PICTURE.crop((0, 0, 1, 1)), "w.png")
    save("very wide", PICTURE.resize((400, 2)), "x.png")
    save("a PNG called .jpg", PICTURE, "y.jpg", format="PNG")
    save("several pages", PICTURE, "z.tiff", save_all=True, append_images=[PICTURE])
    made["a link"] = folder / "link.png"
    made["a link"].symlink_to(made["BMP"])
    return made


LEFT_OUT = (".hidden.png", "._a.JPG", ".dot/1.png", "__MACOSX/1.png", "Thumbs.db", "notes.txt",
            "moving.gif", "table.csv", ".DS_Store")  # fmt: skip
BAD = ("empty.jpg", "cut.png", "text.png")


def test_every_odd_kind_of_file_is_handled(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    made = odd(tmp_path / "set" / "things", tmp_path / "set" / "autres choses é")
    fill(tmp_path / "set", "autres choses é")
    assert len(made) >= 25
    for name in LEFT_OUT:
        (tmp_path / "set" / "things" / name).parent.mkdir(exist_ok=True)
        PICTURE.save(tmp_path / "set" / "things" / name, format="PNG")
    PICTURE.save(tmp_path / "set" / "loose.png")
    source = Folder(
        tmp_path / "set", train="train", test="test", input_size=8, interpolation="bilinear"
    )
    loaded = source.load()
    parts = source.divide()
    found = {Path(image.path) for part in (parts.train, parts.test) for image in part.images}
    assert set(made.values()) <= found
    assert not {path.name for path in found} & {
        Path(name).name for name in LEFT_OUT if "1.png" not in name
    }
    assert not [path for path in found if {".dot", "__MACOSX"} & {*path.parts}]
    assert len(loaded.train.labels) + len(loaded.test.labels) == len(found)
    assert "has .gif files, which are left out" in caplog.text
    assert "left out 1 image in no class folder" in caplog.text
    images = [*parts.train.images, *parts.test.images]
    pixels = [*loaded.train.images, *loaded.test.images]
    upright = {Path(i.path): p for i, p in zip(images, pixels, strict=True)}
    small = np.asarray(PICTURE.resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    for kind in ("BMP", "a PNG called .jpg", "TIFF", "a link", "several pages", "PPM", "RGBA"):
        assert np.array_equal(upright[made[kind]].numpy(), small), kind
    for kind in ("16-bit PNG", "16-bit TIFF", "8-bit grey", "fractions"):
        assert abs(float(upright[made[kind]].float().mean()) - float(GREY.mean())) < 2, kind


def damage(folder: Path) -> list[Path]:
    """Three files that are no images."""
    PICTURE.save(folder / BAD[1])
    content = (folder / BAD[1]).read_bytes()
    for name, wrong in zip(BAD, (b"", content[: len(content) // 2], b"hello"), strict=True):
        (folder / name).write_bytes(wrong)
    return [folder / name for name in BAD]


def source_of(root: Path, **changes: object) -> Folder:
    usual = {"train": "train", "test": "test", "input_size": 8, "interpolation": "nearest"}
    return Folder(root, **(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
def test_damaged_files_are_all_named_or_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool
):
    root = tmp_path / "set"
    for part in ("train", "test"):
        fill(root / part, "cat", "dog")
    bad = damage(root / "train" / "cat")
    if not stream:
        with pytest.raises(UserError, match="3 of 23 images cannot be decoded") as error:
            source_of(root).load()
        assert all(str(path) in str(error.value) for path in bad)
        assert "dataset.on_bad_image=skip" in str(error.value)
    for _ in range(2):  # from the files, and from what was noted of them
        caplog.clear()
        loaded = source_of(root, on_bad_image="skip", stream=stream).load()
        assert (len(loaded.train.labels), len(loaded.test.labels)) == (10, 10)
        assert len(loaded.train.images) == 10
        assert "3 of 13 images of" in caplog.text
        assert all(str(path) in caplog.text for path in bad)


def test_a_size_is_suggested_by_the_images_where_it_is_missing(tmp_path: Path):
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        for n in range(3):
            PICTURE.resize((300 + n, 240)).save(tmp_path / part / "a" / f"{n}.png")
    with pytest.raises(
        UserError, match=r"is 240 pixels in the middle, so that dataset\.input_size=224"
    ):
        source_of(tmp_path, input_size=None).facts()


def test_a_normalisation_is_suggested_by_the_images_where_they_are_streamed(tmp_path: Path):
    for part in ("train", "test"):
        fill(tmp_path / part, "a", "b")
    how = dict(  # noqa: C408 (a call's arguments)
        input_size=8, interpolation="nearest", normalize="mean_std", mean=None, std=None,
        validation_split="none", validation_fraction=None, split_seed=0,
        limit_train=None, limit_test=None,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"dataset\.mean=\[0\.\d+,0\.\d+,0\.\d+\]") as error:
        prepare(source_of(tmp_path, stream=True), **how)  # type: ignore[arg-type]
    assert "dataset.std=[" in str(error.value)


def test_a_validation_part_of_its_own_takes_the_place_of_a_cut(tmp_path: Path):
    for part in ("train", "val", "test"):
        fill(tmp_path / part, "a", "b")
    how = dict(  # noqa: C408 (a call's arguments)
        input_size=8, interpolation="nearest", normalize="unit", mean=None, std=None,
        validation_fraction=0.5, split_seed=0, limit_train=None, limit_test=None,
    )  # fmt: skip
    source = source_of(tmp_path)
    data = prepare(source, validation_split="stratified", **how)  # type: ignore[arg-type]
    assert data.validation is not None
    assert (len(data.train.labels), len(data.validation.labels)) == (10, 10)
    assert source.facts().divided(10, "stratified", 0.5) == (10, 10)
    alone = prepare(source, validation_split="none", **how)  # type: ignore[arg-type]
    assert alone.validation is None
    assert source.facts().divided(10, "none", 0.5) == (10, 0)


def test_the_content_of_every_part_and_a_tables_classes_are_of_a_folders_identity(tmp_path: Path):
    for part in ("train", "test"):
        fill(tmp_path / part, "a", "b")
    before = source_of(tmp_path).content()
    fill(tmp_path / "val", "a", "b")
    assert source_of(tmp_path).content() not in {before, None}
    found = set()
    for label in ("cat", "dog"):
        lines = [f"train/a/{n}.png,{label if n else 'none'}" for n in range(5)]
        (tmp_path / "l.csv").write_text("\n".join(["file,label", *lines]))
        found.add(source_of(tmp_path, labels="l.csv", test_fraction=0.4).content())
    assert len(found) == 2
    assert None not in found


def test_the_caches_progress_and_names_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    from etude.base import progress  # noqa: PLC0415

    with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "SECONDS", -1.0)
        fill(tmp_path / "set", "a", "b")
        source_of(tmp_path / "set").load()
    assert "decoding images: 10 of 10" in caplog.text


def test_images_are_skipped_in_each_part_by_themselves(tmp_path: Path):
    root = fill(tmp_path / "set", "cat", "dog", count=10)
    source = source_of(root, on_bad_image="skip")
    first = Path(source.divide().train.images[0].path)
    first.write_bytes(b"hello")
    parts, whole = source.taken().parts(), source.divide().parts()
    assert {name: len(part.images) for name, part in parts.items()} == {"train": 15, "test": 4}
    assert [i.path for i in parts["test"].images] == [i.path for i in whole["test"].images]
    loaded = source.load()
    assert len(loaded.train.labels) == 15
    assert len(loaded.test.labels) == 4


def test_a_table_in_another_order_keeps_each_images_label(tmp_path: Path):
    root = fill(tmp_path / "set", "cat", "dog")
    names = [f"{c}/{n}.png,{c},{part}" for part, own in (("train", (0, 1, 2)), ("test", (3, 4)))
             for n in own for c in ("cat", "dog")]  # fmt: skip
    found: list[dict[bytes, int]] = []
    for order in (names, names[::-1]):
        (root / "labels.csv").write_text("\n".join(["file,label,split", *order]))
        train = source_of(root, labels="labels.csv").load().train
        pixels = [image.numpy().tobytes() for image in train.images]
        found.append(dict(zip(pixels, train.labels.tolist(), strict=True)))
    assert found[0] == found[1]
