"""The two sides that images have: at which they are kept, and of which a network sees a window."""

from __future__ import annotations

from typing import NamedTuple

from etude.base.errors import UserError


class Sides(NamedTuple):
    """Sides in pixels: of the images as they are kept, and of what a network sees of them."""

    kept: int
    seen: int

    @classmethod
    def of(cls, own: int, *, input_size: int | None, load_size: int | None) -> Sides:
        """Choose both sides.

        Args:
            own: The source's own side.
            input_size: What a network sees; None for the own side.
            load_size: What images are brought to; None for what a network sees.

        Raises:
            UserError: A network would see more than there is.
        """
        seen = input_size or own
        kept = load_size or seen
        if kept < seen:
            raise UserError(
                f"dataset.load_size={kept} must be at least dataset.input_size={seen}, which is "
                "cut out of it; null keeps images at dataset.input_size"
            )
        return cls(kept, seen)
