"""What is read off a windowed belief: entropy, sources, and the mosaic of an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """What each pixel believes about where it comes from.

    entropy: (B, H, W) of the belief over sources, in nats. effective: exp(entropy), the effective
        number of sources.
    log_evidence: (B, H, W) log density of the pixel's window under the machine's mixture, in nats;
        windows clipped at the border have fewer numbers. Compare machines of one window, or divide
        by `numbers`.
    numbers: (H, W) how many numbers each window holds.
    image, row, column: (B, K, H, W) the K most probable sources, best first, -1 where there are
        fewer.
    weight: (B, K, H, W) their probabilities. dropped: (B, H, W) bound on the relative weight that
        was left out.
    """

    entropy: Tensor
    effective: Tensor
    log_evidence: Tensor
    numbers: Tensor
    image: Tensor
    row: Tensor
    column: Tensor
    weight: Tensor
    dropped: Tensor


@dataclass(frozen=True)
class Mosaic:
    """Where each pixel of a finished image was taken from (Kamb & Ganguli, theorem 4.1).

    image, row, column: (B, H, W) the training window nearest in L2 to the window around the pixel.
    distance: (B, H, W) to it. margin: (B, H, W) how much farther the second nearest is; infinite
        when there is one only.
    difference: (B, H, W) largest absolute difference over channels between the pixel and that
        window's centre.
    consistent: (B,) share of pixels with difference at most `tolerance`: 1 where the theorem holds.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    distance: Tensor
    margin: Tensor
    difference: Tensor
    consistent: Tensor
