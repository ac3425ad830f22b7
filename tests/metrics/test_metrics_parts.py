"""Parts and strands against drawings counted by hand and against a flood fill."""

import numpy as np
import pytest
import torch

from archbias.errors import InputError
from archbias.metrics.parts import foreground, parts, strands


def drawn(*rows: str) -> torch.Tensor:
    """A picture from text, '#' foreground: (1, 1, H, W)."""
    return torch.tensor([[1.0 if c == "#" else -1.0 for c in row] for row in rows])[None, None]


TROUSERS = drawn("########", "########", "##....##", "##....##", "##....##")
THREE_LEGS = drawn("########", "########", "##.##.##", "##.##.##", "##.##.##")
SLEEVE_APART = drawn("####...#", "####..##", "####..##", "####...#", "####...#")


def flooded(mask: np.ndarray, least: int) -> int:
    """Pieces of a mask by filling from every pixel that is left, eight neighbours."""
    left, found = {tuple(p) for p in np.argwhere(mask)}, 0
    while left:
        heap, size = [left.pop()], 0
        while heap:
            r, c = heap.pop()
            size += 1
            around = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            heap += around
        found += size >= least
    return found


def test_drawings_counted_by_hand():
    pictures = torch.cat([TROUSERS, THREE_LEGS, SLEEVE_APART, torch.full_like(TROUSERS, -1.0)])
    assert parts(pictures).tolist() == [1, 1, 2, 0]
    assert strands(pictures).tolist() == [2, 3, 2, 0]
    assert parts(SLEEVE_APART, least=8).tolist() == [1]  # the sleeve has seven pixels


@pytest.mark.parametrize("least", [1, 3, 5])
def test_parts_against_a_flood_fill(least):
    images = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    want = [flooded((x[0] > 0.2).numpy(), least) for x in images]
    assert parts(images, threshold=0.2, least=least).tolist() == want


def test_strands_against_a_count_of_runs():
    images = torch.rand(20, 1, 9, 14, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for x, found in zip(images, strands(images, threshold=0.0, least=2).tolist(), strict=True):
        rows = ["".join("#" if v > 0 else "." for v in row) for row in x[0].tolist()]
        runs = sorted((len([run for run in row.split(".") if run]) for row in rows), reverse=True)
        assert found == runs[1]


def test_foreground_is_the_mean_over_channels():
    x = torch.tensor([-1.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    assert foreground(x, 0.3).item()
    assert not foreground(x, 0.4).item()


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"shape \(B, C, H, W\)"):
        parts(torch.zeros(3, 8, 8))
    with pytest.raises(InputError, match="least must be"):
        strands(TROUSERS, least=6)
