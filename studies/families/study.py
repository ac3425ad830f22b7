"""Five denoiser families, the same images, the same seeds: who copies, who invents, and what was
predictable.
"""

from dataclasses import dataclass, field

from archbias.denoise import Spec
from archbias.nets.shallow import Shallow
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS
from archbias.posteriors.windows import published
from archbias.regressions.linear import Linear
from archbias.study import Images, Study, cells

SHORT = Train(steps=1000, batch=128, learning_rate=1e-2, warmup=0, clip=0.0, ema=0.98)


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """What the study asks beside `cells.Settings`.

    families: the denoisers by label.
    scale: the published windows of bbELS, the boundary-broken equivariant local score machine, by
        name (`archbias.SCHEDULES`); empty leaves the machine out.
    """

    variance_seeds: int = 128
    scale: str = "fashion_mnist-unet"
    families: dict[str, Spec] = field(
        default_factory=lambda: {
            "ideal": Ideal(),
            "linear": Linear(),
            "linear, rank 20": Linear(rank=20),
            "shallow": Shallow(components=200, predicts="v", train=SHORT),
            "unet": UNet(train=Train(steps=1500, batch=32)),
        }
    )


def grid(settings: Settings) -> list[cells.Cell]:
    specs = settings.families
    predictors = [cells.mean_image(settings)]
    predictors += [cells.predicted("ideal", Ideal(), settings)]
    if settings.scale:
        machine = BBELS(window=published(settings.scale))
        predictors += [cells.predicted("bbels", machine, settings, seconds=60)]
    predictors += [
        cells.law_of(label, spec, settings)
        for label, spec in specs.items()
        if isinstance(spec, Linear)
    ]
    sampled = [
        cells.sampled(label, spec, settings, seconds=60 if spec.trained else 5)
        for label, spec in specs.items()
    ]
    return sampled + predictors + [cells.compared(label, predictors, settings) for label in specs]


STUDY = Study(
    name="families",
    question=(
        "Fitted to the same images and started from the same noise, which families copy, "
        "which invent, and who predicts it?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=40, size=14),
            "seeds": 4,
            "variance_seeds": 16,
            "steps": 6,
            "families.shallow": Shallow(components=20, train=Train(steps=20)),
            "families.unet": UNet(channels=8, levels=2, train=Train(steps=20)),
        },
        "laptop": {},
        "paper": {
            "seeds": 100,
            "variance_seeds": 2000,
            "families.unet": UNet(channels=64, train=Train(steps=50_000)),
        },
    },
)
