import subprocess
import sys

import pytest

SOURCES = ("source", "splits", "digits", "idx", "cifar", "folder", "cache", "download")


@pytest.mark.parametrize("module", SOURCES)
def test_a_source_is_imported_without_anything_slow(module: str):
    slow = "{'torch', 'torchvision', 'sklearn', 'PIL', 'numpy', 'safetensors'}"
    code = f"import etude.data.{module}, sys; sys.exit(str(sorted({slow} & set(sys.modules))))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"


def test_facts_are_told_without_torch():
    code = (
        "import sys; from etude.data.digits import Digits; from etude.data.splits import held_out; "
        "held_out(Digits().facts().train_images, 'stratified', 0.1); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
