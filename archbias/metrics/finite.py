"""Images that are not numbers: one rule for every function of this package.

    one answer per image    an image that holds NaN or infinity gets NaN (-1 where the answer is a
                            position or a count, False where it is a flag); the others get what they
                            would get without it
    one answer per set      refused with an InputError that names the rows; `kept` leaves them out
                            and says how many
    what is compared with   training, held-out and real images are refused when not finite

A sampler that diverges is the commonest accident of this field. One such sample among thirty must
neither end the measurement of the others nor pass for a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import InputError

NAMED = 5  # rows an error names


@dataclass(frozen=True)
class Kept:
    """The finite rows of a set.

    images: (n, ...) those rows. rows: (n,) int64, where they stood. left_out: where the others did.
    """

    images: Tensor = field(repr=False)
    rows: Tensor = field(repr=False)
    left_out: tuple[int, ...]

    def __str__(self) -> str:
        return words(len(self.left_out), len(self.rows) + len(self.left_out))


def words(missing: int, total: int) -> str:
    """What a table says: "1 of 30 left out", or nothing when none is."""
    return f"{missing} of {total} left out" if missing else ""


def rows(*sets: Tensor) -> Tensor:
    """(B,) bool: the rows that are finite in every one of the sets (B, ...)."""
    good = [torch.isfinite(x).flatten(1).all(1).to(sets[0].device) for x in sets]
    return torch.stack(good).all(0)


def kept(samples: Tensor) -> Kept:
    """The finite rows of samples (B, ...), and which are left out.

    Measures of a set take `kept(samples).images`; the count belongs beside the number.
    """
    good = rows(samples)
    return Kept(samples[good], good.nonzero()[:, 0], tuple((~good).nonzero()[:, 0].cpu().tolist()))


def check(x: Tensor, what: str, remedy: str = "leave it out") -> Tensor:
    """The set x (B, ...) itself; an InputError that names the rows which are not finite.

    Args:
        what: one row in words: "sample", "image", "held-out image".
    """
    bad = (~rows(x)).nonzero()[:, 0].tolist()
    if bad:
        more = "" if len(bad) <= NAMED else f" and {len(bad) - NAMED} more"
        several = len(bad) > 1
        named = ", ".join(map(str, bad[:NAMED]))
        raise InputError(
            f"every {what} must be finite, got NaN or infinity in {what}{'s' if several else ''} "
            f"{named}{more} of {len(x)}; {remedy}"
        )
    return x


def check_sets(samples: Tensor, images: Tensor) -> None:
    """An InputError unless both sets are finite: what every measure of a whole set asks for."""
    check(samples, "sample", "metrics.finite.kept leaves out what diverged and says how many")
    check(images, "image", "remove it or mend the file")


def each(f: Callable[..., Tensor], *sets: Tensor) -> Tensor:
    """f(*sets), one answer for each row, with NaN (-1, False) for rows that are not finite.

    Args:
        f: takes the sets (B, ...), perhaps with no row, and returns (B, ...).
    """
    good = rows(*sets)
    if bool(good.all()):
        return f(*sets)
    return spread(f(*(x[good.to(x.device)] for x in sets)), good)


def spread(found: Tensor, good: Tensor) -> Tensor:
    """The answers of the good rows at their places among all, NaN (-1, False) elsewhere."""
    if found.dtype == torch.bool:
        fill = False
    else:
        fill = torch.nan if found.is_floating_point() else -1
    out = found.new_full((len(good), *found.shape[1:]), fill)
    out[good.to(found.device)] = found
    return out
