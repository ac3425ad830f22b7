"""The contract of `archbias.denoise` as checks that any family, of whatever package, can run.

    from archbias.testing import conforms
    conforms(MyFamily(setting=3), archbias.load("digits", n=40))

What a family computes is its author's to test, against an independent computation. These checks
say that it is a family: it follows its input, treats each row alone, survives saving, and refuses
what it cannot use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from . import noise, sample, seeds
from .data import ImageSet
from .denoise import Denoiser, Spec, from_json, to_json
from .errors import InputError

LEVELS = (0.1, 0.7, 3.0, 20.0)


def conforms(spec: Spec, images: ImageSet, folder: str | Path | None = None) -> None:
    """Run every check of `CHECKS` on the spec fitted to the images.

    Args:
        spec: settings of the family.
        images: at least 4 images; small ones keep it quick.
        folder: where a saved denoiser is tried; a temporary one by default.

    Raises:
        AssertionError: a check failed; its message says what was wanted.
    """
    denoiser = spec.fit(images)
    for check in CHECKS:
        check(denoiser, images)
    with TemporaryDirectory() as own:
        survives_saving(denoiser, images, Path(folder or own))


def noisy(images: ImageSet, sigma: float | Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """The first 4 images with the noise of seeds 0 to 3, (4, C, H, W)."""
    level = torch.as_tensor(sigma, dtype=dtype).reshape(-1, 1, 1, 1)
    return images.images[:4].to(dtype) + level * seeds.normal(range(4), images.shape, dtype=dtype)


def follows_its_input(denoiser: Denoiser, images: ImageSet) -> None:
    """Shape, dtype and device of y come back, finite, and y is left alone."""
    for dtype in (torch.float32, torch.float64):
        y = noisy(images, 0.5, dtype)
        before = y.clone()
        x = denoiser(y, 0.5)
        assert (x.shape, x.dtype, x.device) == (y.shape, y.dtype, y.device), "wanted y's form back"
        assert torch.equal(y, before), "y was changed"
        assert torch.isfinite(x).all(), "wanted finite estimates"


def serves_gradients_after_inference(denoiser: Denoiser, images: ImageSet) -> None:
    """What a call in inference mode keeps does not spoil a later call with gradients."""
    fresh = denoiser.spec.rebuild(denoiser.state())
    for dtype, near in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        y = noisy(images, 0.5, dtype)
        with torch.inference_mode():
            x = fresh(y, 0.5)
        again = fresh(y.requires_grad_(), 0.5)
        assert torch.allclose(again, x, atol=near), "inference mode gave another estimate"
        if again.requires_grad:
            gradient = torch.autograd.grad(again.sum(), y)[0]
            assert gradient.isfinite().all(), "wanted finite gradients"


def treats_rows_alone(denoiser: Denoiser, images: ImageSet) -> None:
    """A row alone is the row in its batch, whatever the levels of the others."""
    sigma = torch.tensor(LEVELS, dtype=torch.float64)
    y = noisy(images, sigma)
    together = denoiser(y, sigma)
    for i, level in enumerate(LEVELS):
        alone = denoiser(y[i : i + 1], level)[0]
        torch.testing.assert_close(alone, together[i], rtol=1e-7, atol=1e-7)
    assert denoiser(y[:0], 1.0).shape == (0, *denoiser.shape), "no rows should give no rows"


def answers_nan_for_rows_that_are_not_finite(denoiser: Denoiser, images: ImageSet) -> None:
    """A row of NaN or infinity comes back as NaN and leaves the others as they are."""
    y = noisy(images, 0.7)
    bad = y.clone()
    bad[1, 0, 0, 0], bad[3, 0, 0, 0] = torch.nan, -torch.inf
    found = denoiser(bad, 0.7)
    torch.testing.assert_close(found[[0, 2]], denoiser(y[[0, 2]], 0.7), rtol=1e-7, atol=1e-7)
    assert found[[1, 3]].isnan().all(), "wanted NaN for rows that are not finite"
    assert denoiser(torch.full_like(y, torch.nan), 0.7).isnan().all()


def is_rebuilt_by_repr_and_json(denoiser: Denoiser, images: ImageSet) -> None:
    """`repr` and JSON of the spec rebuild it; it can be hashed and has a summary."""
    spec = denoiser.spec
    there = json.loads(json.dumps(to_json(spec)))
    assert from_json(type(spec), there) == spec, "JSON did not rebuild the spec"
    assert eval(repr(spec), _classes(spec)) == spec, "repr did not rebuild the spec"
    assert hash(spec) == hash(from_json(type(spec), there))
    assert type(spec).summary, "a family needs a summary for `archbias list`"


def refuses_bad_input(denoiser: Denoiser, images: ImageSet) -> None:
    """Wrong shapes, dtypes and levels end in an InputError that says what must be."""
    y = noisy(images, 1.0)
    c, h, w = denoiser.shape
    for bad, sigma in (
        (torch.zeros(4, c + 1, h, w), 1.0),
        (torch.zeros(4, c, h, w + 1), 1.0),
        (y[0], 1.0),
        (y.long(), 1.0),
        (y, 0.0),
        (y, -1.0),
        (y, float("nan")),
        (y, torch.ones(3)),
        (y, "a"),
        (y, None),
    ):
        said = ""
        try:
            denoiser(bad, cast(Any, sigma))
        except InputError as error:
            said = str(error)
        assert "must" in said, f"wanted {tuple(bad.shape)} {bad.dtype} at {sigma} refused in words"


def samples_follow_their_seeds(denoiser: Denoiser, images: ImageSet) -> None:
    """DDIM samples are finite, and a seed's sample does not depend on its batch."""
    start, levels = seeds.normal(range(3), images.shape), noise.cosine(5)
    x = sample.ddim(denoiser, start, levels)
    assert torch.isfinite(x).all(), "wanted finite samples"
    alone = sample.ddim(denoiser, start[1:2], levels)
    torch.testing.assert_close(alone[0], x[1], rtol=1e-4, atol=1e-4)
    in_parts = sample.ddim(denoiser, start, levels, batch=2)
    torch.testing.assert_close(in_parts, x, rtol=1e-4, atol=1e-4)


CHECKS: tuple[Callable[[Denoiser, ImageSet], None], ...] = (
    follows_its_input,
    serves_gradients_after_inference,
    treats_rows_alone,
    answers_nan_for_rows_that_are_not_finite,
    is_rebuilt_by_repr_and_json,
    refuses_bad_input,
    samples_follow_their_seeds,
)


def survives_saving(denoiser: Denoiser, images: ImageSet, folder: Path) -> None:
    """Its state, written as safetensors and read again, rebuilds the same estimates."""
    from safetensors.torch import load_file, save_file

    file = folder / "state.safetensors"
    save_file({k: v.contiguous() for k, v in denoiser.state().items()}, file)
    again = denoiser.spec.rebuild(load_file(file))
    for dtype in (torch.float64, torch.float32):
        y = noisy(images, 0.8, dtype)
        assert torch.equal(again(y, 0.8), denoiser(y, 0.8)), "a saved denoiser differs"


def _classes(value: object) -> dict[str, type]:
    """Names of the dataclasses in a spec, for its repr."""
    if isinstance(value, tuple):
        return {name: cls for one in value for name, cls in _classes(one).items()}
    if not is_dataclass(value) or isinstance(value, type):
        return {}
    found = {type(value).__name__: type(value)}
    for field in vars(value).values():
        found |= _classes(field)
    return found
