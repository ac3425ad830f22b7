"""One generator per seed: seed 17 is the same noise in any batch, in any order, on any device.

    n(seed, stream) = the standard normal stream of Philox-4x64 with key (seed, stream)

Noise is drawn on the CPU in float64 and cast, so a GPU run and a laptop run start from the same
numbers. Streams keep the uses of one seed apart (the start of a trajectory is stream 0).

Source of the generator: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from .errors import InputError


def generator(seed: int, stream: int = 0) -> np.random.Generator:
    """The generator of one seed; `stream` separates independent uses of it."""
    if not isinstance(seed, Integral) or not 0 <= seed < 2**64:
        raise InputError(
            f"a seed must be an integer of at least 0 and below 2^64, got {seed!r}; use for "
            "example range(16)"
        )
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))


def normal(
    seeds: Iterable[int],
    shape: Sequence[int],
    *,
    stream: int = 0,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Standard normal noise, one independent draw per seed.

    Args:
        seeds: B integers of at least 0.
        shape: shape of one draw, for images (C, H, W).
        stream: which of a seed's independent streams.

    Returns:
        (B, *shape); row b depends on seeds[b], stream and shape alone.

    Example:
        >>> from archbias import seeds
        >>> alone = seeds.normal([17], (1, 2, 2))
        >>> bool((alone[0] == seeds.normal(range(20), (1, 2, 2))[17]).all())
        True
    """
    draws = [generator(seed, stream).standard_normal(tuple(shape)) for seed in seeds]
    stacked = np.stack(draws) if draws else np.empty((0, *shape))
    return torch.from_numpy(stacked).to(dtype=dtype, device=device)
