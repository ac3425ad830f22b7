"""What survives the architecture: variance of samples along the data's principal directions,
against the closed-form law.

A Gaussian law of variance v gives v chi^2_{n-1} / (n - 1) from n samples; the band is that interval
at 95 %, for each direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator
from scipy.stats import chi2

from .colors import NEUTRAL, marker, palette
from .styles import axes_or_new, headline, key, plain, whole

TICKS = (1, 5, 10, 20, 40, 60, 80, 100, 150, 200, 300, 500, 1000)  # of ranks, on a root scale
KEPT = 0.5  # of the data's variance: a direction with less is lost
NAMED = 3  # families a takeaway names at either end


def mode_variance(ds: xr.Dataset, axes: Axes | None = None) -> Axes:
    """Variance of each family's samples along the data's principal directions, relative to the
    data's own variance.

    Thick: the running median over neighbouring directions; thin: each direction. A family on the
        line at 1 generates the data's
    covariance there; below it, that direction has been lost. Bands are the 95 % range of n samples
    of a Gaussian law of variance v, v chi^2_{n-1} / (n - 1), for each direction.

    Args:
        ds: mode_variance (family, mode), data_variance (mode,), and where known n_variance
            (family,) and law_variance (law, mode); a law belongs to the family of its name.
    """
    own = axes is None
    axes = axes_or_new(axes, height=0.5)
    families = [
        str(f) for f in ds["family"].values if np.isfinite(ds["mode_variance"].sel(family=f)).any()
    ]
    data = ds["data_variance"]
    colors = palette(families)
    laws = [str(v) for v in ds["law"].values] if "law_variance" in ds else []
    rank = np.arange(1, data.sizes["mode"] + 1)
    shares = {f: (ds["mode_variance"].sel(family=f) / data).values for f in families}
    lowest = [np.nanmin(v) for v in shares.values()]
    bottom = min([0.05, *(0.5 * v for v in lowest if v > 1e-3)])
    axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    for law in (v for v in laws if v in families):
        exact = (ds["law_variance"].sel(law=law) / data).values
        n = float(ds["n_variance"].sel(family=law))
        low, high = chi2.ppf([0.025, 0.975], n - 1) / (n - 1)
        axes.fill_between(
            rank,
            np.maximum(low * exact, 1e-9),
            np.maximum(high * exact, 1e-9),
            color=colors[law],
            alpha=0.3,
            linewidth=0,
        )
    for k, family in enumerate(families):
        found = shares[family]
        lost = np.nanmax(found) < bottom  # nowhere in the picture
        style: dict[str, Any] = {
            "marker": marker(family),
            "markersize": 4,
            "markevery": _spread(len(rank), k),
            "markeredgecolor": "black",
            "markeredgewidth": 0.3,
        }
        axes.plot(
            rank,
            np.maximum(found, 1e-9),
            color=colors[family],
            linewidth=0.4,
            alpha=0.3,
            zorder=1.5,
        )
        axes.plot(
            rank,
            np.maximum(smooth(found), 1e-9),
            color=colors[family],
            label=plain(f"{family} (below)" if lost else family),
            **style,
        )
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    axes.set(
        yscale="log",
        xlim=(0.6, rank[-1] + 1),
        ylim=(bottom, max(3.0, axes.get_ylim()[1])),
    )
    ticks = [t for t in TICKS if t <= rank[-1]]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.set_xlabel("principal direction of the data, by rank")
    axes.set_ylabel("variance of samples / of the data")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    handles = axes.get_legend_handles_labels()[0]
    if laws:
        handles.append(Patch(facecolor=NEUTRAL, alpha=0.4, label="law: 95 % range"))
    key(axes, handles)
    if own:
        title = "Which directions of the data survive?"
        headline(whole(axes), title, survivors(shares))
    return axes


def survivors(shares: Mapping[str, np.ndarray]) -> str:
    """How many directions keep at least `KEPT` of the data's variance, family by family."""
    counts = {family: int((v >= KEPT).sum()) for family, v in shares.items()}
    if not counts:
        return ""
    of = max(len(v) for v in shares.values())
    order = sorted(counts, key=lambda f: -counts[f])
    some = order if len(order) <= 2 * NAMED else [*order[:NAMED], *order[-NAMED:]]
    named = ", ".join(f"{f} {counts[f]}" for f in some)
    return f"Of {of} directions at least {KEPT:g} of the variance survives in: {named}."


def smooth(values: np.ndarray) -> np.ndarray:
    """Running median over a tenth of the rank to either side: sharp at a cut."""
    half = np.arange(1, len(values) + 1) // 10
    return np.array([np.median(values[max(0, i - h) : i + h + 1]) for i, h in enumerate(half)])


def _spread(n: int, k: int) -> list[int]:
    """About ten positions of n, evenly far apart on a root scale, shifted a little for each
    family.
    """
    roots = np.linspace(1, n**0.5, 10) + 0.12 * k
    return sorted({int(min(round(v * v), n)) - 1 for v in roots})
