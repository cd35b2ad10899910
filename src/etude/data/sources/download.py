"""Fetch published data sets with torchvision, which knows their addresses and checksums."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from etude.base.errors import UserError
from etude.base.lazy import torchvision


def fetch(dataset: str, root: Path, folder: str, names: Sequence[str]) -> None:
    """Download and unpack a data set aside, then move its files into place.

    So a download that breaks off leaves no half a file behind, and the jobs of a sweep, which
    start together, do not read what another is still writing.

    Args:
        dataset: The class in `torchvision.datasets`.
        root: What holds `folder`.
        folder: Where torchvision puts the files, relative to its own root.
        names: The files.

    Raises:
        UserError: It could not be downloaded, or not be written.
    """
    try:
        (root / folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as aside:
            reader = getattr(torchvision.datasets, dataset)
            unread = reader.__new__(reader)  # its constructor would read, and a pickle runs
            unread.root = aside
            unread.download()
            for name in names:
                Path(aside, folder, name).replace(root / folder / name)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(
            f"dataset.download=true could not fetch {dataset} ({' '.join(str(error).split())}); "
            f"try again, or put {', '.join(names)} into {root / folder}"
        ) from error
