"""A small run for the gallery: five denoisers of 300 garments at 14x14, eight seeds."""

import archbias
from archbias import study
from archbias.nets.shallow import Shallow
from archbias.nets.train import Train
from archbias.nets.unet import UNet

RUN = "../../runs/gallery"
CHANGES = {
    "data.n": 300,
    "seeds": 8,
    "steps": 20,
    "variance_seeds": 64,
    "families.shallow": Shallow(components=50, predicts="v", train=Train(steps=200)),
    "families.unet": UNet(channels=8, levels=2, train=Train(steps=200)),
}

families = study.load("families")
study.run(families, families.configure("toy", CHANGES), RUN)  # computed once, then read
tree = archbias.open_study(RUN)
