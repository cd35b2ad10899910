"""What a frozen body makes of images, computed once and kept for all epochs.

The steps that learn from what is kept are the steps that learn through the body, to the bit, where
`exact` is asked for. What a layer makes of an image does not depend on the others of its batch, but
may depend on their number, as libraries choose their kernels by it. So images are computed in
batches of the size that the steps have, in their split's order, the last one filled up with images
before it; and one batch of every size is computed as the first epoch has it, and held against what
is kept. If they differ in any bit, the smaller last batch of each epoch is computed anew, and if
those of the usual size do, nothing is kept. Evaluations have the same batches after every epoch, so
theirs are kept as they are.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from etude.base.progress import progress
from etude.data.batch import Batch, Ordered, Split
from etude.data.input import order_of
from etude.train.hardware import autocast, available_memory

log = logging.getLogger(__name__)

Body = Callable[[Tensor], Tensor]  # images to features


class CannotKeep(Exception):  # noqa: N818 (what it says)
    """What a body makes of images cannot be kept; nothing of the run has been changed.

    Args:
        reason: Why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def through(body: nn.Module, precision: str, device: torch.device) -> Body:
    """Give what computes features as a step does, in its numbers, and nothing for a backward pass.

    Args:
        body: In the mode that it is to be in.
        precision: float32, tf32, bfloat16 or float16.
        device: Where it is.
    """

    def compute(images: Tensor) -> Tensor:
        with torch.no_grad(), autocast(precision, device):
            return body(images)

    return compute


def check_room(images: int, made: Tensor) -> None:
    """Refuse features that would take over half of the memory that is there.

    Args:
        images: Of the split.
        made: Features of some of them, (N, …).

    Raises:
        CannotKeep: They would.
    """
    needed = images * made[0].numel() * made.element_size()
    there = available_memory(made.device)
    if needed > there / 2:
        raise CannotKeep(
            f"they would take {needed / 2**30:.1f} GiB, of {there / 2**30:.1f} that are free"
        )


class Rows:
    """The features of a split's images, gathered with the strides that the body gave them."""

    def __init__(self, images: int, made: Tensor) -> None:
        if not _is_dense(made):
            made = made.contiguous()
        self._shape, self._strides = made.shape[1:], made.stride()[1:]
        length = made[0].numel()
        self._rows = torch.empty(images, length, dtype=made.dtype, device=made.device)

    def put(self, start: int, made: Tensor) -> None:
        """Keep the features (N, …) of the images from `start` on."""
        laid_out = torch.empty_strided(
            made.shape, (self._rows.shape[1], *self._strides), dtype=made.dtype, device=made.device
        ).copy_(made)
        flat = laid_out.as_strided((len(made), self._rows.shape[1]), (self._rows.shape[1], 1))
        self._rows[start : start + len(made)] = flat

    def at(self, part: Tensor) -> Tensor:
        """Give those of the images at the places `part` (N,)."""
        rows = self._rows.index_select(0, part)
        return rows.as_strided((len(part), *self._shape), (rows.shape[1], *self._strides))

    @property
    def bytes(self) -> int:
        """Give what they take."""
        return self._rows.numel() * self._rows.element_size()


def _is_dense(made: Tensor) -> bool:
    """Whether each image's features lie together, in whatever order."""
    order = sorted(range(1, made.dim()), key=made.stride, reverse=True)
    return made.permute(0, *order).is_contiguous()


class Features:
    """A split of features in the place of its images, in the same batches.

    Args:
        images: Nothing random is done to them.
        body: Computes their features, as the steps would.
        device: Where the batches are.
        seed: The run's.
        epoch: That is under way, whose batches are held against what is kept.
        batch_size: Images in a batch.
        exact: Whether no bit may change.

    Raises:
        CannotKeep: There is no room, or bits would change.
    """

    def __init__(
        self,
        images: Split,
        body: Body,
        device: torch.device,
        *,
        seed: int,
        epoch: int,
        batch_size: int,
        exact: bool,
    ) -> None:
        self._images, self._body, self._device = images, body, device
        self.labels = torch.empty(len(images), dtype=torch.int64, device=device)
        parts = self.order(seed, epoch).split(batch_size)
        with torch.random.fork_rng([] if device.type == "cpu" else [device]):
            before = _random_state(device)
            self._rows = self._filled(len(parts[0]))
            self._computed = self._sizes_apart(parts) if exact else frozenset[int]()
            if not torch.equal(before, _random_state(device)):
                raise CannotKeep("they are random")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def varies(self) -> bool:
        """Say that no image does."""
        return False

    @property
    def bytes(self) -> int:
        """Give what they take."""
        return self._rows.bytes

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start_batch: int = 0
    ) -> Iterator[Batch]:
        """Give every image's features once, shuffled as the images are."""
        for part in self.order(seed, epoch).split(batch_size)[start_batch:]:
            yield self.batch(part, None)

    def batch(self, part: Tensor, draws: Tensor | None) -> Batch:  # noqa: ARG002 (none are drawn)
        """Give the features of the images at the places `part` (N,) int64, on the device."""
        computed = len(part) in self._computed
        features = self._live(part) if computed else self._rows.at(part)
        return Batch(features, self.labels.index_select(0, part))

    def some(self, part: Tensor) -> Batch:
        """Give the features of the images at some places."""
        return self.batch(part, None)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image's features once, in the split's order."""
        for part in torch.arange(len(self), device=self._device).split(batch_size):
            yield self.batch(part, None)

    def order(self, seed: int, epoch: int) -> Tensor:
        """Shuffle an epoch as its images are: (len,) int64 on the device."""
        return order_of(len(self), seed, epoch).to(self._device)

    def draws(self, seed: int, epoch: int) -> None:
        """Draw nothing."""

    def _live(self, part: Tensor) -> Tensor:
        return self._body(self._images.some(part).images)

    def _sizes_apart(self, parts: Sequence[Tensor]) -> frozenset[int]:
        """Give the sizes of batches whose bits are not those that are kept."""
        first, last = parts[0], parts[-1]
        if not self._holds(first):
            raise CannotKeep("what becomes of an image depends on its place in a batch")
        holds = len(last) == len(first) or self._holds(last)
        return frozenset[int]() if holds else frozenset({len(last)})

    def _holds(self, part: Tensor) -> bool:
        """Whether what is kept is what a batch is, in its bits and in its strides."""
        kept, live = self._rows.at(part), self._live(part)
        return kept.stride() == live.stride() and torch.equal(kept, live)

    def _filled(self, batch_size: int) -> Rows:
        """Compute all features in batches of one size."""
        rows, start, before = None, 0, None
        with progress("frozen layers, images", len(self)) as tell:
            for batch in self._images.in_order(batch_size):
                new = len(batch.labels)
                whole = batch.images if before is None else _filled_up(batch.images, before)
                made = self._body(whole)
                if rows is None:
                    check_room(len(self), made)
                    rows = Rows(len(self), made)
                rows.put(start, made[len(made) - new :])
                self.labels[start : start + new] = batch.labels
                start, before = start + new, whole
                tell(start)
        assert rows is not None, "a split has images"  # noqa: S101
        return rows


def _filled_up(images: Tensor, before: Tensor) -> Tensor:
    """Put the last images of the batch before in front of a smaller one."""
    if len(images) == len(before):
        return images
    whole = torch.empty_like(before)  # strides as they are
    whole[: -len(images)] = before[len(images) :]
    whole[-len(images) :] = images
    return whole


def _random_state(device: torch.device) -> Tensor:
    state = torch.get_rng_state()
    return state if device.type == "cpu" else torch.cat([state, torch.cuda.get_rng_state(device)])


class KeptBatches:
    """A split in its order, with its features in the place of its images, kept from the first time.

    Args:
        images: Without augmentation.
        body: Computes their features.
    """

    def __init__(self, images: Ordered, body: Body) -> None:
        self._images, self._body = images, body
        self._kept: list[Batch] = []
        self._keeps = True

    def __len__(self) -> int:
        return len(self._images)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image's features once, always in the same batches."""
        if self._kept:
            for batch in self._kept:  # a layer may work in place
                yield Batch(batch.images.clone(), batch.labels)
            return
        made: list[Batch] = []
        for images, labels in self._images.in_order(batch_size):
            features = self._body(images)
            if not made and self._keeps:
                self._keeps = self._fits(features)
            if self._keeps:
                made.append(Batch(features.clone(), labels))
            yield Batch(features, labels)
        self._kept = made

    def _fits(self, made: Tensor) -> bool:
        try:
            check_room(len(self), made)
        except CannotKeep as error:
            log.info("frozen layers are computed in every evaluation: %s", error.reason)
            return False
        return True
