"""Other people's models as denoisers, and denoisers as other people's models.

`conventions.py` holds the formulas: what a model is given, how it is told the level, what it
predicts. `adapted.py` makes a Denoiser of a network (`from_module`) or a function
(`from_callable`), `diffusers.py` of a network of the diffusers library with its scheduler,
whose levels are read in `schedulers.py`; `outward.py` goes back. What is trained here lives in
`nets`.
"""

from .adapted import Adapted, AdaptedDenoiser, from_callable, from_module
from .conventions import INPUTS, LEVELS, PREDICTIONS, Level, Steps
from .diffusers import from_diffusers, to_diffusers
from .outward import to_callable, to_module
from .schedulers import OF_DIFFUSERS, sigmas_of

__all__ = [
    "INPUTS",
    "LEVELS",
    "OF_DIFFUSERS",
    "PREDICTIONS",
    "Adapted",
    "AdaptedDenoiser",
    "Level",
    "Steps",
    "from_callable",
    "from_diffusers",
    "from_module",
    "sigmas_of",
    "to_callable",
    "to_diffusers",
    "to_module",
]
