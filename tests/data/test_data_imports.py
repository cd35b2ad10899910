import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = ("splits", *(f"sources.{name}" for name in
           ("source", "digits", "idx", "cifar", "folder", "cache", "download")))  # fmt: skip
SLOW = {"torch", "torchvision", "sklearn", "PIL", "numpy", "safetensors"}


def modules_after(code: str) -> set[str]:
    """The modules that a fresh Python has loaded once it has run the code."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", SOURCES)
def test_a_source_is_imported_without_anything_slow(module: str):
    loaded = modules_after(f"import etude.data.{module}")
    assert f"etude.data.{module}" in loaded
    assert not loaded & SLOW


def test_facts_and_the_number_held_out_are_told_without_anything_slow():
    code = (
        "from etude.data.sources.digits import Digits; from etude.data.splits import held_out; "
        "held_out(Digits().facts().train_images, 'stratified', 0.1)"
    )
    assert not modules_after(code) & SLOW


def test_content_is_told_without_anything_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    for part in ("train", "test"):
        (tmp_path / part / "cat").mkdir(parents=True)
        (tmp_path / part / "cat" / "1.png").write_bytes(b"")
    code = (
        "from etude.data.sources.folder import Folder; "
        "from etude.data.sources.flowers17 import Flowers17; "
        f"assert Folder({str(tmp_path)!r}, train='train', test='test', input_size=8, "
        "interpolation='nearest').content(); Flowers17('.', test_fraction=0.2, shuffle_seed=0, "
        "input_size=8, interpolation='nearest').content()"
    )
    assert not modules_after(code) & (SLOW | {"hydra", "omegaconf"})
