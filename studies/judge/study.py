"""Any network: is it a denoiser, what has it built in, and which theory predicts what it draws?

`archbias judge TARGET --images DIR` fills in these settings; `archbias.judge(denoiser, images)`
does in Python. What is computed lives in `archbias.judging`. Without a target a network that has
learnt nothing is judged.
"""

from archbias.judging import Judged, Settings, grid
from archbias.posteriors.golden import Golden
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, LS
from archbias.posteriors.sighted import SIGHTED
from archbias.regressions.linear import Linear
from archbias.study import Study

FEW = {"wiener": Linear(), "ideal": Ideal(), "ls": LS(), "bbels": BBELS(), "sighted": SIGHTED}

STUDY = Study(
    name="judge",
    question=(
        "Is this network a denoiser, what has it built in, and which theory predicts what it draws?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Judged(name="fashion_mnist", n=40, size=12, held_out=8),
            "theories": {"wiener": Linear(), "ideal": Ideal(), "ls": LS(), "golden": Golden()},
            "found": {"ls": "monotone"},
            "free": {},
            "seeds": 4,
            "steps": 5,
            "levels": 3,
            "points": 2,
            "mask_points": 1,
            "health_levels": 4,
            "health_images": 8,
            "card_levels": (1.0,),
            "windows": (3, 5),
            "fit_seeds": 2,
            "fit_steps": 4,
        },
        "quick": {
            "theories": FEW,
            "found": {"ls": "monotone", "bbels": "monotone"},
            "free": {},
            "seeds": 8,
            "levels": 5,
            "points": 4,
            "mask_points": 1,
            "card_levels": (1.0,),
            "fit_seeds": 2,
        },
        "usual": {},
    },
)
