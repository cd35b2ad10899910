import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess as Process
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from no_waits import no_waits
from PIL import Image

from etude.base.errors import UserError
from etude.base.processes import exists
from etude.data.augment.augment import Augment
from etude.data.batch import Batch
from etude.data.decoders import ahead
from etude.data.input import order_of
from etude.data.normalize import fit
from etude.data.prepare import prepare
from etude.data.resident import Resident
from etude.data.sources.decode import Form
from etude.data.sources.files import Files
from etude.data.sources.folder import Folder
from etude.data.stream import Stream

EVERYTHING = {"shift_fraction": 0.2, "crop_padding": 2, "flip_probability": 0.5}
SETTINGS: dict[str, Any] = {
    "input_size": 12,
    "interpolation": "bilinear",
    "normalize": "mean_std",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "validation_split": "seeded_fraction",
    "validation_fraction": 0.25,
    "split_seed": 0,
    "limit_train": 24,
    "limit_test": None,
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of noise: 28 images to train on, 8 to test."""
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    noise = np.random.default_rng(0)
    for part, count in (("train", 14), ("test", 4)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = noise.integers(0, 256, (20, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "photos"


def split(
    root: Path,
    *,
    stream: bool,
    load_size: int | None = None,
    cut_from: str = "kept",
    **changes: Any,
) -> Any:
    """The training part, prepared as a run does it."""
    part = {"train": "train", "test": "test", "input_size": 12, "interpolation": "bilinear"}
    source = Folder(root, **part, load_size=load_size, cut_from=cut_from, stream=stream)
    data = prepare(source, **SETTINGS, load_size=load_size)
    workers, channels_last = changes.get("workers", 0), changes.get("channels_last", False)
    how: dict[str, Any] = {
        "normalize": data.normalize,
        "augment": Augment(**changes.get("augment", EVERYTHING)),
        "device": "cpu",
        "channels_last": channels_last,
        "size": data.size,
    }
    if stream:
        assert isinstance(data.train.images, Files)
        return Stream(data.train.images, data.train.labels, workers=workers, **how)
    assert isinstance(data.train.images, torch.Tensor)
    return Resident(data.train.images, data.train.labels, **how)


def assert_same(one: Iterator[Batch], other: Iterator[Batch]) -> None:
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
        assert a.images.stride() == b.images.stride()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_stream_gives_the_batches_of_a_resident_data_set(
    root: Path, workers: int, channels_last: bool
):
    stream = split(root, stream=True, workers=workers, channels_last=channels_last)
    resident = split(root, stream=False, channels_last=channels_last)
    assert len(stream) == len(resident) == 18
    assert_same(stream.epoch(1, 2, 4), resident.epoch(1, 2, 4))
    assert_same(stream.in_order(4), resident.in_order(4))


def test_a_stream_too_shows_the_middle_of_images_that_are_kept_larger(root: Path):
    stream = split(root, stream=True, load_size=15)
    resident = split(root, stream=False, load_size=15)
    assert next(stream.in_order(4)).images.shape == (4, 3, 12, 12)
    assert_same(stream.epoch(1, 2, 4), resident.epoch(1, 2, 4))
    assert_same(stream.in_order(4), resident.in_order(4))


def test_a_stream_can_begin_at_a_later_batch(root: Path):
    stream = split(root, stream=True)
    assert_same(stream.epoch(0, 1, 4, 3), iter(list(stream.epoch(0, 1, 4))[3:]))


# Windows of every kind; those of `small` are all enlarged, which is done alike from whole pixels.
CUTS: dict[str, dict[str, Any]] = {
    "middle": {},
    "place": {"crop": "place", **EVERYTHING},
    "small": {"crop": "area", "crop_area": (0.1, 0.4), "flip_probability": 0.5},
    "area": {"crop": "area", "interpolation": "random", "photometric": 0.5},
    "scaled": {"crop": "place", "scales": (15, 30)},
}


@pytest.fixture
def squares(root: Path) -> Path:
    """The same classes in squares of the side that is kept, as PNG and as JPEG."""
    for path in sorted(root.rglob("*.png")):
        with Image.open(path) as image:
            image.crop((0, 0, 15, 15)).save(path)
        if path.stem in "02468":
            Image.open(path).save(path.with_suffix(".jpg"))
            path.unlink()
    return root


def originals(root: Path, workers: int = 0, **changes: Any) -> Any:
    how = {"load_size": 15, "cut_from": "original", "workers": workers}
    return split(root, stream=True, **how, **changes)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("cut", CUTS)
def test_windows_of_files_are_the_same_with_any_number_of_workers(root: Path, cut: str):
    batches = list(originals(root, augment=CUTS[cut]).epoch(1, 2, 4))
    for workers in (1, 2, 3) if cut == "area" else (2,):
        stream = originals(root, workers, augment=CUTS[cut])
        assert_same(stream.epoch(1, 2, 4), iter(batches))
        assert_same(stream.epoch(1, 2, 4, 3), iter(batches[3:]))


@pytest.mark.parametrize("cut", ["middle", "place"])
def test_windows_of_files_of_the_size_that_is_kept_are_those_of_memory(squares: Path, cut: str):
    stream = originals(squares, augment=CUTS[cut])
    resident = split(squares, stream=False, load_size=15, augment=CUTS[cut])
    assert_same(stream.epoch(1, 2, 4), resident.epoch(1, 2, 4))
    assert_same(stream.in_order(4), resident.in_order(4))


def test_windows_of_files_are_those_of_memory_up_to_rounding(squares: Path):
    """Where they are whole pixels of the file too, and are enlarged, which nothing smooths."""
    stream = originals(squares, augment=CUTS["small"])
    resident = split(squares, stream=False, load_size=15, augment=CUTS["small"])
    for mine, theirs in zip(stream.epoch(1, 2, 4), resident.epoch(1, 2, 4), strict=True):
        # Theirs is not rounded; mine is after the columns, and after the rows.
        assert (mine.images - theirs.images).abs().max() * 255 * 0.25 <= 1.1


@pytest.mark.parametrize("cut_from", ["kept", "original"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_batchs_room_is_used_again_only_after_it(root: Path, workers: int, cut_from: str):
    how: dict[str, Any] = {"load_size": 15, "cut_from": cut_from, "augment": CUTS["place"]}
    alone = list(split(root, stream=True, **how).epoch(1, 2, 1))
    assert len(alone) == 18 > ahead(workers) * workers + 1
    stream = split(root, stream=True, workers=workers, **how)
    apart = split(root, stream=True, **how)
    pixels, right = (
        each._decoded(torch.arange(18).split(1), each._placed(None)) for each in (stream, apart)
    )
    for expected in right:
        found = next(pixels)
        time.sleep(0.02)  # for whoever would write too early
        assert torch.equal(found, expected)
    assert_same(stream.epoch(1, 2, 1), iter(alone))


def is_soon(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def children() -> set[str]:
    """Give the processes that this one has started and that are at work."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
@pytest.mark.parametrize("cut_from", ["kept", "original"])
def test_the_processes_that_decode_stay_from_epoch_to_epoch(root: Path, cut_from: str):
    before = children()
    how: dict[str, Any] = {"load_size": 15, "cut_from": cut_from, "augment": CUTS["place"]}
    stream, alone = (split(root, stream=True, workers=workers, **how) for workers in (2, 0))
    assert_same(stream.epoch(1, 0, 4), alone.epoch(1, 0, 4))
    decoders = children() - before
    assert len(decoders) == 2
    assert_same(stream.in_order(4), alone.in_order(4))  # by others, which end
    assert children() - before == decoders
    assert_same(stream.epoch(1, 1, 4), alone.epoch(1, 1, 4))
    assert children() - before == decoders
    stream.epoch(1, 2, 4)  # never begun
    assert_same(stream.epoch(1, 2, 9), alone.epoch(1, 2, 9))  # for which there is no room
    assert not children() & decoders
    del stream
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_they_stay_where_nobody_asks_for_more_than_there_is(root: Path):
    """As a run does it, which counts its steps."""
    before = children()
    stream, alone = (split(root, stream=True, workers=workers) for workers in (2, 0))
    batches, found = iter(()), list[set[str]]()
    for epoch in range(3):
        batches = stream.epoch(1, epoch, 4)
        for expected in list(alone.epoch(1, epoch, 4)):
            assert torch.equal(next(batches).images, expected.images)
        found.append(children() - before)
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]
    del stream, batches
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_a_ctrl_c_while_they_are_ended_ends_them_and_goes_no_further(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = list[object]()

    def interrupted(worker: Process, timeout: float | None = None) -> None:
        asked.append(worker)
        if len(asked) == 1:
            raise KeyboardInterrupt
        join(worker, timeout)

    before, join = children(), Process.join
    left = split(root, stream=True, workers=2).epoch(1, 0, 2)
    next(left)
    monkeypatch.setattr(Process, "join", interrupted)
    left.close()
    assert asked
    assert is_soon(lambda: children() == before)


@pytest.mark.slow  # PyTorch waits for a while
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_one_that_does_not_react_is_killed(root: Path):
    before = children()
    left = split(root, stream=True, workers=2).epoch(1, 0, 2)
    next(left)
    for one in children() - before:
        os.kill(int(one), signal.SIGSTOP)
    left.close()
    assert is_soon(lambda: children() == before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_a_process_that_is_killed_takes_them_along_at_once(root: Path):
    paths = [str(path) for path in sorted(root.glob("train/*/*.png"))]
    text = (
        OPEN.format(paths=paths, early=False)
        + "import os, signal, pathlib\n"
        + "tasks = pathlib.Path('/proc/self/task').glob('*/children')\n"
        + "print(*(task.read_text() for task in tasks), flush=True)\n"
        + "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = run_script(text)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2
    ended = done.stdout.split()
    assert is_soon(lambda: not any(exists(int(one)) for one in ended), 2)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_an_epoch_that_is_left_ends_its_processes_and_the_next_one_is_whole(root: Path):
    before = children()
    stream, alone = (originals(root, workers, augment=CUTS["place"]) for workers in (2, 0))
    left = stream.epoch(1, 0, 2)
    next(left)
    assert len(children() - before) == 2
    both = zip(
        stream.epoch(1, 1, 2), alone.epoch(1, 1, 2), strict=True
    )  # beside the one that is left
    assert all(torch.equal(mine.images, expected.images) for mine, expected in both)
    left.close()
    assert len(children() - before) == 2
    assert_same(stream.epoch(1, 0, 2), alone.epoch(1, 0, 2))
    assert_same(stream.epoch(1, 3, 2, 7), alone.epoch(1, 3, 2, 7))


def test_augmenting_beside_workers_leaves_the_number_of_threads_alone(root: Path):
    before = torch.get_num_threads()
    batches = originals(root, 2, augment=CUTS["area"]).epoch(0, 0, 4)
    next(batches)
    assert torch.get_num_threads() == before
    list(batches)
    assert torch.get_num_threads() == before


def test_reading_ahead_leaves_the_random_numbers_of_the_network_alone(root: Path):
    stream = split(root, stream=True, workers=1)
    torch.manual_seed(0)
    list(stream.epoch(0, 0, 4))
    drawn = torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("cut_from", ["kept", "original"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_told_by_its_name(root: Path, workers: int, cut_from: str):
    for path in (root / "train").rglob("*.png"):
        path.write_bytes(b"no image")
    stream = split(root, stream=True, workers=workers, cut_from=cut_from)
    with pytest.raises(UserError, match=r"^\S+png cannot be decoded"):
        next(stream.epoch(0, 0, 4))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not forked")
def test_a_script_may_stream_where_workers_are_not_forked_by_default(root: Path, tmp_path: Path):
    """As from Python 3.14 on: without asking for it, workers would run the script once more."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys; multiprocessing.set_start_method('forkserver', force=True)\n"
        "from pathlib import Path; from test_data_stream import split\n"
        "print(len(list(split(Path(sys.argv[1]), stream=True, workers=2).in_order(4))))\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    words = [sys.executable, str(script), str(root)]
    told = subprocess.run(
        words, check=False, env=environment, capture_output=True, text=True, timeout=120
    )
    assert told.stdout.split() == ["5"], told.stderr


def test_statistics_of_streamed_images_must_be_given(root: Path):
    files = Files([str(next(root.glob("train/*/*.png")))], Form(8, "nearest"), digest="")
    with pytest.raises(UserError, match="needs the mean of all images"):
        fit("mean_std", files)
    assert fit("unit", files).scale.numel() == 3


def test_images_stream_where_they_would_fill_the_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    source = Folder(root, train="train", test="test", input_size=12, interpolation="bilinear")
    assert isinstance(source.load().train.images, torch.Tensor)
    monkeypatch.setattr("etude.data.sources.folder.physical_memory", lambda: 1000)
    assert isinstance(source.load().train.images, Files)


def test_images_stay_in_their_files_where_windows_are_cut_out_of_them(root: Path):
    part = {"train": "train", "test": "test", "input_size": 12, "interpolation": "bilinear"}
    assert isinstance(Folder(root, **part, cut_from="original").load().train.images, Files)


@pytest.mark.gpu
def test_copies_to_a_gpu_arrive_whole(root: Path):
    stream = split(root, stream=True, workers=2)
    stream = Stream(
        stream._files, stream.labels, normalize=fit("unit", stream._files), augment=None,
        device="cuda", channels_last=True, workers=2,
    )  # fmt: skip
    parts = [batch.images.cpu() for batch in stream.in_order(4)]
    expected = stream._files.tensor().float() / 255
    assert torch.allclose(torch.cat(parts), expected)
    for epoch in range(2):  # by the same processes, and the same thread that pins
        order = order_of(len(stream), 0, epoch)
        parts = [batch.images.cpu() for batch in stream.epoch(0, epoch, 4)]
        assert torch.allclose(torch.cat(parts), expected[order])
    batches = stream.epoch(0, 2, 4)
    next(batches)  # what is the epoch's goes to the device before it
    with no_waits():
        assert len(list(batches)) == -(-len(stream) // 4) - 1


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, and see that it has one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", text],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


OPEN = """
import torch
from etude.data.augment.augment import Augment
from etude.data.normalize import fit
from etude.data.sources.decode import Form
from etude.data.sources.files import Files
from etude.data.stream import Stream
files = Files({paths!r}, Form(12, "bilinear"), digest="", cut_early={early})
how = dict(normalize=fit("unit", files, None, None), augment=None, device="cpu", workers=2)
stream = Stream(files, torch.zeros(len(files)).long(), channels_last=False, **how)
batches = stream.in_order(2)
next(batches)
"""


@pytest.mark.parametrize("early", [False, True])
def test_a_process_ends_after_an_image_that_cannot_be_decoded(root: Path, early: bool):
    paths = [str(path) for path in sorted(root.glob("train/*/*.png"))]
    Path(paths[5]).write_bytes(Path(paths[5]).read_bytes()[:200])
    done = run_script(OPEN.format(paths=paths, early=early) + "list(batches)")
    assert done.returncode == 1
    assert f"{Path(paths[5]).name} cannot be decoded" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("early", [False, True])
def test_an_image_that_changes_while_a_run_streams_is_refused(root: Path, early: bool):
    paths = [str(path) for path in sorted(root.glob("train/*/*.png"))]
    swap = f"import shutil; shutil.copy({paths[0]!r}, {paths[5]!r})\n"
    again = "list(batches); " + swap + "list(stream.in_order(2))"
    done = run_script(OPEN.format(paths=paths, early=early) + again)
    assert done.returncode == 1
    assert f"{Path(paths[5]).name} has changed since the run" in done.stderr.splitlines()[-1]


def test_a_process_ends_though_an_error_holds_its_stream(root: Path):
    paths = [str(path) for path in sorted(root.glob("train/*/*.png"))]
    text = (
        OPEN.format(paths=paths, early=True)
        + "import sys\nsys.held = batches\nraise ValueError('mine')"
    )
    done = run_script(text)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: mine"


KILLED = """
import os, signal
class Deadly(Files):
    def __getitem__(self, part):
        if 17 in part.tolist():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(part)
stream._files = Deadly({paths!r}, Form(12, "bilinear"), digest="")
list(stream.in_order(2))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not forked")
def test_a_worker_that_is_killed_ends_its_process(root: Path):
    paths = [str(path) for path in sorted(root.glob("train/*/*.png"))]
    script = OPEN.format(paths=paths, early=False) + KILLED.format(paths=paths)
    done = run_script(script)
    assert done.returncode == 1
    assert "RuntimeError: DataLoader worker" in done.stderr.splitlines()[-1]
