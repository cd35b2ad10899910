"""Environments for the peers, made once below `.bench/`: they never mix with the project's own.

    python -m benchmarks.environments

Lightning sees the project's packages, so that it runs on the very same PyTorch. Keras on
TensorFlow stands alone: TensorBoard would import TensorFlow wherever it is installed beside.
"""

import argparse
import site
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".bench"

# Lightning 2.6.2 and 2.6.3 were published with malware in them.
PACKAGES = {
    "lightning": ("lightning==2.6.6",),
    "keras": ("keras==3.15.1", "tensorflow-cpu==2.21.0"),
}


def python_of(name: str) -> Path:
    """Make an environment if it is not there yet, and give its interpreter."""
    folder = FOLDER / name
    ready, wanted = folder / "ready", "\n".join(PACKAGES[name])
    if not ready.is_file() or ready.read_text(encoding="utf-8") != wanted:
        print(f"setting up {folder.relative_to(ROOT)} (once): {', '.join(PACKAGES[name])}")
        _make(folder, PACKAGES[name], shared=name == "lightning")
        ready.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "python"


def installed() -> set[str]:
    """Make all environments; give those that could be made, and say which could not."""
    names: set[str] = set()
    for name in PACKAGES:
        try:
            python_of(name)
            names.add(name)
        except subprocess.CalledProcessError:
            print(f"{name} is left out: its packages could not be installed; the reason is above\n")
    return names


def _make(folder: Path, packages: tuple[str, ...], *, shared: bool) -> None:
    venv.create(folder, with_pip=True, clear=True)
    if shared:
        _share_packages(folder)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(command, check=True)  # noqa: S603 (the pinned packages above)


def _share_packages(folder: Path) -> None:
    """Let the environment see this interpreter's packages, after its own."""
    (packages,) = folder.glob("lib/python*/site-packages")
    seen = [path for path in sys.path if Path(path).is_dir() and path not in _standard_library()]
    (packages / "project.pth").write_text("\n".join(seen), encoding="utf-8")


def _standard_library() -> set[str]:
    library = Path(site.__file__).parent
    return {str(library), str(library / "lib-dynload"), str(ROOT), ""}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    installed()


if __name__ == "__main__":
    main()
