"""Whether runs fit into a GPU's free memory, by the bytes that they are predicted to hold there."""

MIB = 2**20
# What CUDA's context, its libraries' workspaces and the allocator's rounding take beside the
# predicted tensors; an estimate, so a run that is predicted to fit may still run out of memory.
CONTEXT_BYTES = 700 * MIB
MARGIN = 0.9  # of the free memory is given away


def fits(predicted: int, free: int, *others: int) -> bool:
    """Say whether a run of so many predicted bytes, beside others, has room in the free ones."""
    return sum(one + CONTEXT_BYTES for one in (predicted, *others)) <= MARGIN * free


def room_for(predicted: int) -> int:
    """Give the bytes that must be free for a run of so many predicted ones."""
    return -int(-(predicted + CONTEXT_BYTES) // MARGIN)
