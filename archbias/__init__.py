"""archbias: why diffusion models invent, measured by architecture.

images = archbias.load("fashion_mnist", n=1000)           an image set
denoiser = archbias.FAMILIES["els"](window=7).fit(images)  a denoiser
noise = archbias.seeds.normal(range(16), images.shape)
sigmas = archbias.noise.cosine(20)
samples = archbias.sample.ddim(denoiser, noise, sigmas)
law = archbias.distributions.generated_by(denoiser, sigmas)  a generated distribution, where one is
    known
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import moved

__version__ = "0.1.0"

moved.install()

_FROM = {
    "load": "data",
    "ImageSet": "data",
    "FAMILIES": "families",
    "open_study": "store",
    "tidy": "store.tidy",
    "InputError": "errors",
    "SCHEDULES": "posteriors.windows",
    "watch": "watching",
    "judge": "judging",
    "explore": "exploring",
}
_MODULES = [
    "adapters",
    "copies",
    "data",
    "denoise",
    "distributions",
    "exploring",
    "families",
    "judging",
    "linalg",
    "metrics",
    "nets",
    "networks",
    "noise",
    "plots",
    "posteriors",
    "probes",
    "regressions",
    "report",
    "sample",
    "seeds",
    "store",
    "study",
    "testing",
]

__all__ = [*_FROM, *_MODULES]


def __getattr__(name: str) -> Any:
    """Names of the package on first use, so that `import archbias` stays quick."""
    if name in _FROM:
        return getattr(import_module(f"archbias.{_FROM[name]}"), name)
    if name in _MODULES or name in moved.MOVED:
        return import_module(f"archbias.{name}")
    raise AttributeError(f"module 'archbias' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
