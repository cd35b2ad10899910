"""How much memory this machine has."""

import os


def physical_memory() -> int:
    """Give the bytes of it, whoever uses them."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
