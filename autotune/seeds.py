"""Seeds for all random numbers of a study, derived from (study seed, trial, fold, epoch) and from nothing else."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Derive a seed from the names and numbers that say where it is used.

    The same parts give the same seed on every machine and in every version of Python; different parts give unrelated
    seeds.

    Args:
        *parts: For example `(study_seed, "trial", 12, "fold", 0, "epoch", 3)`.

    Returns:
        An integer in [0, 2**32 - 1], which NumPy, Python, TensorFlow and Optuna all accept as a seed.

    Example:
        >>> derive_seed(0, "trial", 1) == derive_seed(0, "trial", 1)
        True
        >>> derive_seed(0, "trial", 1) == derive_seed(0, "trial", 2)
        False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
