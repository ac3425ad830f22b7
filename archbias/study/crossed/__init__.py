"""Crossed designs: image sets x networks x theories, on the same noise.

    row = Row(set="mnist", network="unet", maker=UNet(), images_of=Images(name="mnist"))

    network(row)                      fitted, kept, sampled
    again(row, retrained(...))        the ceiling: the same network from another training seed
    reference(row, "ideal", Ideal())  what needs no network: ideal, Wiener filter, mean image
    calibrated(row, "bbels", fit)     the scale of a theory, on seeds that are not judged
    predicted(row, "bbels", theory)   the theory's samples
    compared(row, [...])              agreement with all of these, one value per seed

Each is a `Cell`; a study lists those it wants and adds its own. A row names cells and groups, so
that a killed run resumes and figures find what they draw. `Settings` are the usual factors with
their rows. For a new theory give `predicted` its spec; for a network of another kind give `Row` a
maker with `trained` and `fit`.
"""

from .networks import again, network, retrained
from .predictions import (
    ANOTHER_SEED,
    by_band,
    by_region,
    compared,
    predicted,
    predictions_of,
    reference,
)
from .rows import ByLabel, Maker, Row, labels_of, theory_of
from .settings import Settings
from .theories import (
    FOUND,
    Fit,
    Theory,
    border_machine,
    calibrated,
    fitted,
    held_out,
    publication,
    settled,
    source_of,
)

__all__ = [
    "ANOTHER_SEED",
    "FOUND",
    "ByLabel",
    "Fit",
    "Maker",
    "Row",
    "Settings",
    "Theory",
    "again",
    "border_machine",
    "by_band",
    "by_region",
    "calibrated",
    "compared",
    "fitted",
    "held_out",
    "labels_of",
    "network",
    "predicted",
    "predictions_of",
    "publication",
    "reference",
    "retrained",
    "settled",
    "source_of",
    "theory_of",
]
