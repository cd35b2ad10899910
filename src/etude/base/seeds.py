"""Seeds for the many generators of one run: apart from each other, the same on every machine."""

import hashlib

SEEDS = 2**32  # that there are, from 0: what NumPy's generators take, the narrowest of those in use


def mix(seed: int, *parts: str | int) -> int:
    """Derive the seed of one random stream, such as `mix(seed, "order", epoch)`.

    Neighbouring seeds and epochs give unrelated streams, which `seed + epoch` would not: there,
    the second epoch of seed 0 is the first epoch of seed 1.

    Returns:
        An integer in [0, 2**63), a function of the seed and the parts alone.
    """
    # The lengths keep ("ab", "c") apart from ("a", "bc"), the type's name 1 from "1".
    words = [f"{type(part).__name__}:{len(str(part))}:{part}" for part in (seed, *parts)]
    digest = hashlib.blake2b("|".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
