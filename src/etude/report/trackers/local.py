"""A tracker's folder on this machine."""

from pathlib import Path

from etude.base.errors import UserError


def folder_of(place: str, tracker: str, onward: str) -> Path:
    """Make a folder for runs that a tracker's own command takes further.

    Args:
        place: The folder.
        tracker: Whose.
        onward: What takes them further, as a sentence's part.

    Raises:
        UserError: It is an address.
    """
    if "://" in place:
        raise UserError(f"--store {place} must be a folder for {tracker}; {onward}")
    folder = Path(place).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
