"""Cut a validation part from the training images.

Policies: `none`; `last_fraction`, Keras's `validation_split`, the last images as the files order
them; `seeded_fraction`, the same after a seeded permutation; `stratified`, seeded, with every
class's share kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.base.errors import UserError
from etude.base.lazy import np
from etude.base.seeds import mix
from etude.base.text import counted

if TYPE_CHECKING:
    from typing import Any

    Indices = np.typing.NDArray[np.int64]

POLICIES = ("none", "last_fraction", "seeded_fraction", "stratified")


def held_out(n: int, policy: str, fraction: float | None) -> int:
    """Count the images that a split of `n` images holds out; every policy but `none` agrees.

    Args:
        n: Images before the cut.
        policy: One of `POLICIES`.
        fraction: The part held out, in (0, 1); unread when the policy is `none`.

    Raises:
        UserError: The policy is unknown, or one of the two parts would be empty.
    """
    if policy not in POLICIES:
        raise UserError(
            f"dataset.validation_split={policy} is unknown; use one of {', '.join(POLICIES)}"
        )
    if policy == "none":
        return 0
    # Keras's own rounding: the training part is int(n·(1-f)).
    held = n - int(n * (1 - fraction)) if fraction is not None and 0 < fraction < 1 else 0
    if not 0 < held < n:
        raise UserError(
            f"dataset.validation_fraction={fraction} of {counted(n, 'image')} leaves the "
            "training or the "
            "validation part empty; choose a fraction between 0 and 1 that leaves both some images"
        )
    return held


def split(
    labels: np.typing.NDArray[np.integer[Any]], *, policy: str, fraction: float | None, seed: int
) -> tuple[Indices, Indices | None]:
    """Choose which images train and which are held out.

    Args:
        labels: (N,) integers; their values matter to `stratified` only.
        policy: One of `POLICIES`.
        fraction: The part held out, in (0, 1); unread when the policy is `none`.
        seed: Decides `seeded_fraction` and `stratified`.

    Returns:
        Ascending indices of both parts; None for the second when nothing is held out.

    Raises:
        UserError: The policy is unknown, or one of the two parts would be empty.
    """
    n = len(labels)
    held = held_out(n, policy, fraction)
    everything = np.arange(n, dtype=np.int64)
    if held == 0:
        return everything, None
    order = everything if policy == "last_fraction" else permutation(n, seed)
    chosen = _stratified(labels, order, held) if policy == "stratified" else order[n - held :]
    return np.setdiff1d(everything, chosen, assume_unique=True), np.sort(chosen)


def check_batch_size(batch_size: int, images: int) -> None:
    """Refuse a batch that is larger than the split that it would be taken from.

    Raises:
        UserError: It is.
    """
    if batch_size > images:
        raise UserError(
            f"train.batch_size={batch_size} is larger than the training split of "
            f"{counted(images, 'image')}"
        )


def permutation(n: int, seed: int) -> Indices:
    """Permute 0..n-1, the same with every version of numpy: (n,).

    NumPy promises stable raw bits of a bit generator, but not what `Generator.permutation` makes
    of them.
    """
    bits = np.random.PCG64(mix(seed, "split")).random_raw(n)
    return np.argsort(bits, kind="stable").astype(np.int64)


def _stratified(labels: np.typing.NDArray[np.integer[Any]], order: Indices, held: int) -> Indices:
    """Take the last of each class in `order`, `held` in all."""
    classes, counts = np.unique(labels, return_counts=True)
    members = (order[labels[order] == label] for label in classes)
    quotas = _largest_remainder(counts.tolist(), held)
    return np.concatenate(
        [images[len(images) - quota :] for images, quota in zip(members, quotas, strict=True)]
    )


def _largest_remainder(counts: list[int], total: int) -> list[int]:
    """Share out `total` in proportion to `counts`; ties go to the earlier class."""
    n = sum(counts)
    shares = [divmod(total * count, n) for count in counts]
    missing = total - sum(whole for whole, _ in shares)
    first = sorted(range(len(counts)), key=lambda i: -shares[i][1])[:missing]
    return [whole + (i in first) for i, (whole, _) in enumerate(shares)]
