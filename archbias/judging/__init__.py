"""Any network in one call: is it a denoiser, what has it built in, which theory predicts it?

found = archbias.judge(denoiser, images, "runs/mine", unseen=unseen)
print(found)                     the findings, health first
found.report()                   one page

target      what a text on the command line stands for
trial       which convention a network follows, where nobody says
settings    how thoroughly; `Subject`, the network as the cells ask for it
cells, grid what is computed: a study like others, `studies/judge`
findings    the numbers in sentences
"""

from .call import Judgement, judge
from .findings import findings, verdict
from .grid import Given, grid
from .images import Judged
from .settings import STAND_IN, Settings
from .trial import Convention, trial

__all__ = [
    "STAND_IN",
    "Convention",
    "Given",
    "Judged",
    "Judgement",
    "Settings",
    "findings",
    "grid",
    "judge",
    "trial",
    "verdict",
]
