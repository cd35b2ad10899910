import subprocess
import sys

import pytest
import torch

from etude.base import lazy


def printed(code: str) -> list[str]:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_library_is_loaded_by_its_first_use_and_no_sooner():
    names = ", ".join(f"'{name}'" for name in ("numpy", "PIL", "safetensors", "torch"))
    loaded = f"print(*(name in sys.modules for name in ({names})))"
    code = f"import sys; from etude.base.lazy import PIL, np, torch; {loaded}; np.pi; {loaded}"
    assert printed(code) == [*["False"] * 4, "True", *["False"] * 3]


def test_submodules_come_with_their_package():
    code = "from etude.base.lazy import PIL, safetensors; print(PIL.Image, safetensors.torch)"
    assert "PIL.Image" in " ".join(printed(code))


@pytest.mark.parametrize("name", lazy.__all__)
def test_what_a_library_lacks_is_told_as_the_library_tells_it(name: str):
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(lazy, name).nothing  # noqa: B018


def test_a_lazy_name_gives_the_librarys_own_objects():
    assert lazy.torch.Tensor is torch.Tensor
    assert isinstance(torch.zeros(1), lazy.torch.Tensor)
