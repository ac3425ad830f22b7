"""A study of seconds with a trained network, a theory and their agreement, for tests of run
folders.
"""

from __future__ import annotations

import torch

from archbias.nets.mlp import MLP
from archbias.nets.train import Train
from archbias.regressions.linear import Linear
from archbias.study import Images, Study, cells, run

SETTINGS = cells.Settings(
    data=Images(n=24),
    seeds=6,
    steps=3,
    families={"mlp": MLP(width=8, depth=1, train=Train(steps=3, batch=8)), "linear": Linear()},
)


def _grid(settings: cells.Settings) -> list:
    families = settings.families
    predictions = [cells.predicted("wiener", Linear(), settings), cells.mean_image(settings)]
    made = [cells.sampled(name, spec, settings) for name, spec in families.items()]
    return [*made, *predictions, *(cells.compared(n, predictions, settings) for n in families)]


STUDY = Study(name="made up", question="How alike?", settings=SETTINGS, cells=_grid)


def ran(folder, **changes):
    """The folder of a finished run with changed settings ({"families.mlp.train.seed": 1})."""
    settings = STUDY.configure(None, changes)
    state = run(STUDY, settings, folder, threads=torch.get_num_threads())
    assert not state.failed, state
    return folder


def flip(path, where: float = 0.5) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)
