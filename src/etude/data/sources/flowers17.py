"""Flowers17: 80 images of each of 17 British flowers; Nilsback & Zisserman, CVPR 2006.

https://www.robots.ox.ac.uk/~vgg/data/flowers/17/ has them as 17flowers.tgz, 60,270,631 bytes. It
comes without a division that the documents use: they shuffle, and keep the last fifth.
"""

from __future__ import annotations

import os
from pathlib import Path

from etude.base.digests import digest_of_tree
from etude.base.errors import UserError
from etude.data.sources.folder import Folder
from etude.data.sources.layout import Division
from etude.data.sources.listing import Listing
from etude.data.splits import permutation

CLASSES = (
    "daffodil", "snowdrop", "lily-of-the-valley", "bluebell", "crocus", "iris", "tigerlily",
    "tulip", "fritillary", "sunflower", "daisy", "coltsfoot", "dandelion", "cowslip", "buttercup",
    "windflower", "pansy",
)  # fmt: skip
IMAGES_PER_CLASS = 80  # image_0001.jpg to image_0080.jpg are daffodils, and so on
IMAGES = IMAGES_PER_CLASS * len(CLASSES)


class Flowers17(Folder):
    """The images at `root/17flowers/jpg/`, shuffled and divided.

    Args:
        root: The folder that holds `17flowers`.
        test_fraction: Part of the images that is tested on, in (0, 1).
        shuffle_seed: Decides which.
        input_size: See `Folder`.
        interpolation: See `Folder`.
        load_size: See `Folder`.
        stream: See `Folder`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        test_fraction: float,
        shuffle_seed: int,
        input_size: int | None,
        interpolation: str,
        load_size: int | None = None,
        stream: bool | None = None,
    ) -> None:
        super().__init__(
            Path(root).expanduser() / "17flowers" / "jpg",
            train="",
            test="",
            input_size=input_size,
            interpolation=interpolation,
            load_size=load_size,
            stream=stream,
        )
        self.test_fraction = test_fraction
        self.shuffle_seed = shuffle_seed

    def content(self) -> str | None:
        """Give a digest of all images; see `Source`. Which are tested on, the settings say.

        Raises:
            UserError: An image cannot be read.
        """
        try:
            images = self._images()
        except UserError:  # of what is missing, which `facts` tells
            return None
        return digest_of_tree(self.root, [image.name for image in images])

    def divide(self) -> Division:
        """Divide the 1,360 images, of a fifth for the test 1,088 and 272.

        Raises:
            UserError: Images are missing.
        """
        images = self._images()
        order = permutation(IMAGES, self.shuffle_seed).tolist()
        cut = int(IMAGES * (1 - self.test_fraction))  # Keras's rounding
        parts = ([images[place] for place in part] for part in (order[:cut], order[cut:]))
        train, test = (
            Listing(CLASSES, part, [_number(image) // IMAGES_PER_CLASS for image in part])
            for part in parts
        )
        return Division(train, test)

    def _images(self) -> list[os.DirEntry[str]]:
        if not self.root.is_dir():
            raise UserError(
                f"there is no folder {self.root}; unpack 17flowers.tgz there, from "
                "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/"
            )
        with os.scandir(self.root) as entries:
            named = {entry.name: entry for entry in entries}
        wanted = [f"image_{number:04}.jpg" for number in range(1, IMAGES + 1)]
        if missing := [name for name in wanted if name not in named]:
            raise UserError(
                f"{self.root} lacks {len(missing)} of Flowers17's {IMAGES} images, the first of "
                f"them {missing[0]}; unpack 17flowers.tgz once more"
            )
        return [named[name] for name in wanted]


def _number(image: os.DirEntry[str]) -> int:
    """Read an image's number, from 0, off its name."""
    return int(image.name.removeprefix("image_").removesuffix(".jpg")) - 1
