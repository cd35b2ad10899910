"""From whatever an image file holds to red, green and blue in 8 bits, as a viewer shows it.

PIL's own `convert("RGB")`, which torchvision's and timm's loaders call, cuts more than 8 bits off
at 255, takes fractions for 0, shows what lies under transparent pixels, and leaves photographs on
their side. For all other images this is the same to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.base.lazy import PIL, np

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
_SIXTEEN = {"PNG", "PPM"}  # formats that PIL may open as 32 bits, though they hold 16


def in_rgb(image: Image) -> Image:
    """Give an image upright, in RGB, its transparent parts on white; it may be turned in its place.

    Numbers of 16 and 32 bits are scaled by their range, fractions by [0, 1].

    Raises:
        ValueError: Its brightness cannot be told.
    """
    from PIL import ImageOps  # noqa: PLC0415 (not before an image is read)

    sixteen = image.mode != "I" or image.format in _SIXTEEN
    ImageOps.exif_transpose(image, in_place=True)  # a photograph's copies take a tenth of its time
    if image.mode == "F" or image.mode.startswith("I"):
        image = PIL.Image.fromarray(_eight_bits(image, sixteen=sixteen))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    seen = image.convert("RGBA")
    white = PIL.Image.new("RGBA", seen.size, "white")
    return PIL.Image.alpha_composite(white, seen).convert("RGB")


def is_upright(image: Image) -> bool:
    """Tell whether an image is to be shown as it lies in its file."""
    return image.getexif().get(_ORIENTATION, 1) == 1


def _eight_bits(image: Image, *, sixteen: bool) -> np.typing.NDArray[np.uint8]:
    """Scale grey values of more than 8 bits: 0 stays black, the largest there can be is white."""
    values = np.asarray(image)
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("its fractions are not all within 0 and 1; save it with 8 or 16 bits")
        largest = 1.0
    elif sixteen:
        largest = 2.0**16 - 1
    else:
        values, largest = values.astype(np.int32).view(np.uint32), 2.0**32 - 1
    scaled = np.rint(values.astype(np.float64) * (255 / largest)).astype(np.uint8)
    if values.any() and not scaled.any():
        raise ValueError("its values use so little of their range that all would be black")
    return scaled
