"""A small store with known content, in the schema of real ones: what figures, tables and reports
are tested on.
"""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

FAMILIES = ("ideal", "linear", "linear, rank 3", "unet")
SIZE, SEEDS, MODES = 6, 12, 36


def tree(
    seed: int = 0, families: tuple[str, ...] = FAMILIES, channels: int = 1, study: str = "made-up"
) -> xr.DataTree:
    """Samples of smooth random fields; 'ideal' copies its neighbour, the others do not; 'linear'
    follows its law exactly.
    """
    rng = np.random.default_rng(seed)
    d = channels * SIZE * SIZE
    lam = 0.3 / np.arange(1, d + 1) ** 1.5
    axes, _ = np.linalg.qr(rng.standard_normal((d, d)))
    shape = (channels, SIZE, SIZE)

    def draw(n):
        return ((rng.standard_normal((n, d)) * np.sqrt(lam)) @ axes.T).reshape(n, *shape)

    near = np.stack([draw(SEEDS) for _ in families])
    samples = np.stack(
        [near[i] if f.startswith("ideal") else draw(SEEDS) for i, f in enumerate(families)]
    )
    copied = np.array([[f.startswith("ideal")] * SEEDS for f in families])
    ids = np.array([[f"{i:06d}" for i in range(SEEDS)] for _ in families])
    coords = {"family": list(families), "seed": np.arange(SEEDS)}
    pixel = ("channel", "row", "column")
    predictors = ["ideal", "linear", "mean image", "ceiling"]
    centre = {"ideal": 0.5, "linear": 0.8, "mean image": 0.2, "ceiling": 0.97}
    r = np.stack(
        [
            [np.clip(centre[p] + 0.05 * rng.standard_normal(SEEDS), -1, 1) for p in predictors]
            for _ in families
        ]
    )
    per_seed = ("family", "predictor", "seed")
    laws = [f for f in families if f.startswith("linear")] or [families[0]]
    losses = np.stack(
        [0.4 * np.exp(-np.arange(50) / (8 + 2 * i)) + 0.05 for i in range(len(families))]
    )
    groups = {
        "samples": xr.Dataset(
            {"sample": (("family", "seed", *pixel), samples.astype("f4"))}, coords
        ),
        "distributions": xr.Dataset(
            {
                "mean": (("law", *pixel), np.zeros((len(laws), *shape))),
                "eigenvalue": (
                    ("law", "mode"),
                    np.stack(
                        [np.where(np.arange(d) < (3 if "rank" in f else d), lam, 0) for f in laws]
                    ),
                ),
            },
            {"law": laws, "mode": np.arange(d)},
        ),
        "agreement": xr.Dataset(
            {
                "r": (per_seed, r),
                "r_squared": (per_seed, r**2),
                "explained": (per_seed, 2 * r - 1),
                "mse": (per_seed, (1 - r) / 4),
            },
            coords | {"predictor": predictors},
        ),
        "novelty": xr.Dataset(
            {
                "distance": (
                    ("family", "seed"),
                    np.where(copied, 0.01, 1.0 + 0.1 * rng.random(copied.shape)),
                ),
                "distance_ratio": (("family", "seed"), np.where(copied, 0.01, 0.9)),
                "nearest_id": (("family", "seed"), ids),
                "copy": (("family", "seed"), copied),
                "nearest_image": (("family", "seed", *pixel), near.astype("f4")),
            },
            coords,
        ),
        "training": xr.Dataset(
            {"loss": (("family", "step"), losses)},
            {"family": list(families), "step": np.arange(50) * 10},
        ),
    }
    made = xr.DataTree.from_dict(groups)
    made.attrs = {
        "study": study,
        "question": "Does the figure say what the numbers say?",
        "settings": json.dumps({"steps": 20, "seeds": list(range(SEEDS))}),
        "families": json.dumps({f: {"type": f.split(",")[0].title()} for f in families}),
        "images": json.dumps(
            {"name": "made-up", "hash": "ab" * 32, "n": SEEDS, "shape": list(shape)}
        ),
        "archbias": "0.1.0",
        "commit": "0123456789abcdef",
        "created": "2026-01-02T03:04:05+00:00",
        "host": "nowhere",
        "python": "3.11.0",
        "torch": "2.6.0",
    }
    return made
