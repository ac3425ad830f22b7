"""What the numbers of a judgement say, in sentences: health first, then what the rest rests on.

sound       at no more than half of the noise levels is its error above the Wiener filter's, and
            its samples have the brightness and the amplitude of images
nothing     at no level where the Wiener filter helps is it better than the better of two
            answers that know nothing, the noisy image and the mean image
toy         fewer than 8 seeds, 100 images or 16 pixels: the numbers show that the program runs
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from ..metrics import compare, health
from ..metrics.intervals import Interval, bootstrap
from ..report.words import RUNS, SEEDS, beside, small
from ..store.open import variable
from ..study.steps import share
from .trial import CLOSE

OFF, WIDE = 1.0, 1.5  # of brightness: standard deviations, ratio of deviations
GONE, PALE, STRONG = 0.2, 0.67, 1.5  # ratios of amplitudes
HALF = 0.5
HELPS = 0.9  # of the error of knowing nothing: where the Wiener filter is below, it helps
REPLICATE, MEAN, OTHER_SEED = "replicate", "mean image", "another seed"


def findings(tree: xr.DataTree) -> list[str]:
    """Sentences, the most important first; only of what the store holds."""
    groups = tree.children
    lines: list[str] = []
    if "health" in groups:
        lines += [_first(tree), *_looks(tree)]
    if "rows" in groups and (sizes := toy(tree)):
        lines.append(f"{_capital(sizes)}: {RUNS}.")
    if "trial" in groups:
        lines.append(_convention(tree))
    if "agreement" in groups:
        lines += _theories(tree)
    if "steps" in groups:
        lines += _along(tree)
    if "copies" in groups:
        lines.append(_capital(str(variable(tree, "copies/sentence").values[0])))
    if "duplicates" in groups and int(variable(tree, "duplicates/extra").values[0]):
        lines.append(_capital(str(variable(tree, "duplicates/finding").values[0])) + ".")
    if "cards" in groups:
        lines.append(_card(tree))
    return [line if line.endswith(".") else line + "." for line in lines]


def name_of(tree: xr.DataTree) -> str:
    """The network's name."""
    return str(variable(tree, "health/family").values[0]).partition(" ")[2]


def errors(tree: xr.DataTree, kind: str = "training") -> health.Errors:
    """The stored errors on training or unseen images, noise decreasing."""
    error = variable(tree, "health/error").isel(family=0).sel(kind=kind)
    error = error.sortby("sigma", ascending=False)

    def of(denoiser: str) -> torch.Tensor:
        values = error.sel(denoiser=denoiser).transpose("sigma", "image").values
        return torch.from_numpy(np.ascontiguousarray(values)).double()

    sigmas = torch.from_numpy(error["sigma"].values.copy())
    return health.Errors(
        sigmas=sigmas, network=of("network"), ideal=of("ideal"), wiener=of("wiener")
    )


def worse(tree: xr.DataTree, kind: str = "training") -> list[float]:
    """Noise levels, increasing, at which it is worse than the Wiener filter on images of a kind."""
    found = errors(tree, kind)
    return sorted(found.sigmas[found.worse_than_wiener()].tolist())


def knows_nothing(tree: xr.DataTree) -> bool:
    """Whether it never goes half as far as the Wiener filter from the error of knowing nothing."""
    found = errors(tree)
    nothing = (
        variable(tree, "health/nothing").isel(family=0).sortby("sigma", ascending=False).values
    )
    own, wiener = (np.nanmean(v.numpy(), 1) for v in (_filled(found.network), found.wiener))
    helps = wiener < HELPS * nothing
    far = nothing[helps] - own[helps] >= HALF * (nothing - wiener)[helps]
    return bool(helps.any() and not far.any())


def _filled(network: torch.Tensor) -> torch.Tensor:
    """An answer that is not finite is as bad as one can be."""
    return network.masked_fill(network.isnan(), torch.inf)


def troubles(tree: xr.DataTree) -> list[str]:
    """What is wrong with its samples, in words; nothing where they look like images."""
    if "looks" not in tree.children:
        return []
    one = tree["looks"].to_dataset().isel(family=0)
    lines = []
    if (finite := float(one["finite"])) < 1:
        lines.append(f"{1 - finite:.0%} of its samples are not finite")
    own, (mean, spread) = one["brightness"].values, one["brightness_of_images"].values
    own = own[np.isfinite(own)]
    if not len(own):
        return lines
    wide = np.std(own) > WIDE * spread and len(own) >= SEEDS
    if abs(np.mean(own) - mean) >= OFF * spread or wide:
        lines.append(
            f"its samples lose the brightness of images: {np.mean(own):.2f} +- {np.std(own):.2f}, "
            f"where training images have {mean:.2f} +- {spread:.2f}"
        )
    ratio = amplitude(tree)
    if not GONE <= ratio <= STRONG:
        lines.append(f"the amplitude of its samples is {ratio:.2f} times that of training images")
    if float(one["beyond"]) > 0.25:
        lines.append(f"its samples run from {float(one['low']):.1f} to {float(one['high']):.1f}")
    return lines


def amplitude(tree: xr.DataTree) -> float:
    """Mean amplitude of the finite samples over that of training images; NaN without any."""
    one = tree["looks"].to_dataset().isel(family=0)
    own = one["amplitude"].values
    own = own[np.isfinite(own)]
    return float(own.mean() / one["amplitude_of_images"].values[0]) if len(own) else float("nan")


def verdict(tree: xr.DataTree) -> str:
    """One word: "nothing", "unsound" or "sound"."""
    if knows_nothing(tree):
        return "nothing"
    bad = len(worse(tree)) > len(errors(tree).sigmas) / 2 or troubles(tree)
    return "unsound" if bad else "sound"


def toy(tree: xr.DataTree) -> str:
    """Why the numbers mean nothing, from the sizes of the run; empty where they may."""
    rows = tree["rows"].to_dataset().isel(family=0)
    seeds = tree["looks"].sizes.get("seed", SEEDS) if "looks" in tree.children else SEEDS
    return small(seeds, int(rows["n"]), int(rows["side"]))


def _first(tree: xr.DataTree) -> str:
    """Is it a denoiser at all?"""
    name, found = name_of(tree), errors(tree)
    sigmas = found.sigmas.tolist()
    if knows_nothing(tree):
        return (
            f"{name} predicts nothing: at none of {len(sigmas)} noise levels does it go half as "
            f"far as the Wiener filter beyond the noisy image or the mean image; {RUNS}"
        )
    bad = worse(tree)
    if not bad:
        kinds = list(map(str, variable(tree, "health/kind").values))
        there = {kind: levels for kind in kinds if (levels := worse(tree, kind))}
        judged = "it is a sound denoiser" if verdict(tree) == "sound" else "it denoises"
        said = "".join(
            f"; on {kind} images it is worse at sigma {_listed(levels)}, as a denoiser is that "
            "remembers its images"
            for kind, levels in there.items()
        )
        whole = " and ".join(kind for kind in kinds if kind not in there)
        return (
            f"{name}: {judged}, nowhere worse than the Wiener filter at {len(sigmas)} noise "
            f"levels, sigma {sigmas[-1]:.2g} to {sigmas[0]:.2g}, on {whole} images{said}"
        )
    ratios = dict(zip(sigmas, found.against_wiener(), strict=True))
    most = max(bad, key=lambda s: _finite(ratios[s].value))
    said = (
        f"worse than the Wiener filter at sigma {_listed(bad)} ({ratios[most].value:.2g} times "
        f"its error at sigma {most:.2g})"
    )
    if verdict(tree) == "sound":
        return f"{name}: sound, though {said}, which its samples do not show"
    return f"{name} is {said}: what theories say of it there means little"


def _looks(tree: xr.DataTree) -> list[str]:
    found = troubles(tree)
    if "looks" in tree.children and GONE <= (ratio := amplitude(tree)) < PALE:
        found.append(f"its samples are pale, {ratio:.2f} times the amplitude of training images")
    return [_capital("; ".join(found))] if found else []


def _convention(tree: xr.DataTree) -> str:
    one = tree["trial"].to_dataset().isel(family=0)
    scores, names = one["score"].values, [str(c) for c in one["convention"].values]
    near = [n for n, s in zip(names[1:], scores[1:], strict=True) if s < scores[0] + CLOSE]
    said = f"Found by trial of {len(names)} conventions: {names[0]}"
    if not scores[0] < 0:
        return f"{said}, but no convention makes a denoiser of this network: give its own"
    return said + (f"; not told apart from {', '.join(near[:3])}" if near else "")


def standing(tree: xr.DataTree) -> list[tuple[str, Interval]]:
    """Every theory with its median r over seeds, best first."""
    r = variable(tree, "agreement/r").isel(family=0)
    names = [str(p) for p in r["predictor"].values]
    names = [n for n in names if n not in (REPLICATE, MEAN, OTHER_SEED)]
    found = [(n, bootstrap(r.sel(predictor=n).values)) for n in names]
    return sorted(found, key=lambda f: -_finite(f[1].value, -2.0))


def _theories(tree: xr.DataTree) -> list[str]:
    r = variable(tree, "agreement/r").isel(family=0)
    ranked = standing(tree)
    if not ranked or not ranked[0][1].n:
        return ["No theory could be compared with its samples"]
    best, found = ranked[0]
    wiener = dict(ranked).get("wiener")
    filtered = f", where the Wiener filter has {wiener}" if wiener and best != "wiener" else ""
    floor = bootstrap(r.sel(predictor=MEAN).values)
    lines = [
        f"Predicted best by {best}: median r {found}{beside(r, ranked)}{filtered} and the mean "
        f"image {floor}"
    ]
    if REPLICATE in r["predictor"].values:
        ceiling = torch.from_numpy(r.sel(predictor=REPLICATE).values.astype(float))
        values = torch.from_numpy(r.sel(predictor=best).values.astype(float))
        scaled = compare.scale(
            values, ceiling=ceiling, floors={MEAN: torch.from_numpy(_of(r, MEAN))}
        )
        lines.append(
            f"The second training agrees with it to r {scaled.ceiling}: {best} goes "
            f"{scaled.share[MEAN]} of the way from the mean image to it"
        )
    else:
        lines.append(
            "The ceiling is missing: what a second training of the same network would reach is "
            "known only from one, --again TARGET"
        )
    return lines


def _of(r: xr.DataArray, predictor: str) -> np.ndarray:
    return r.sel(predictor=predictor).values.astype(float)


def _along(tree: xr.DataTree) -> list[str]:
    """Where along the noise the best theory leaves the network."""
    if "agreement" not in tree.children:
        return []
    values = share(tree["steps"].to_dataset().isel(family=0, drop=True))
    ranked = [name for name, _ in standing(tree) if name in values["predictor"].values]
    best = next((name for name in ranked if name != "wiener"), None)
    if best is None:
        return []
    one = values.sel(predictor=best, kind="trajectory").dropna("sigma")
    if not one.size:
        return []
    worst, least = (one.isel(sigma=int(f(one.values))) for f in (np.argmax, np.argmin))
    return [
        f"Along the noise, {best} is nearest to the network at sigma {float(least['sigma']):.2g} "
        f"({float(least):.2g} of the Wiener filter's squared distance) and farthest at sigma "
        f"{float(worst['sigma']):.2g} ({float(worst):.2g})"
    ]


def _card(tree: xr.DataTree) -> str:
    one = tree["cards"].to_dataset().isel(family=0)
    middle = one.isel(sigma=int(np.abs(np.log(one["sigma"].values)).argmin()))
    side = 2 * float(middle["radius"].sel(fraction=0.9)) + 1
    inside, border = float(middle["interior"]), float(middle["border"])
    said = (
        f"Bias card at sigma {float(middle['sigma']):.2g}: 90 % of what a pixel depends on lies in "
        f"{side:.0f} x {side:.0f} pixels; error under translations {inside:.2g} inside, "
        f"{border:.2g} at the border"
    )
    memory = float(middle["memory"])
    return said + (f"; held-out over training error {memory:.3g}" if np.isfinite(memory) else "")


def _listed(levels: list[float]) -> str:
    return ", ".join(f"{level:.2g}" for level in levels)


def _finite(value: float, otherwise: float = np.inf) -> float:
    return value if np.isfinite(value) else otherwise


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
