"""Crossed designs: image sets x networks x theories, on the same noise.

    row = Row(set="mnist", network="unet", maker=UNet(), images_of=Images(name="mnist"))

    network(row)                      fitted, kept, sampled
    again(row, retrained(...))        the ceiling: the same network from another training seed
    reference(row, "ideal", Ideal())  what needs no network: ideal, Wiener filter, mean image
    found_for(theory, row, fit)       its free settings, on seeds that are not judged
    measured(row, levels)             how far the network's pixels look, for theories told that
    predicted(row, "bbels", theory)   the theory's samples
    compared(row, [...])              agreement with all of these, one value per seed
    pairs(variants, networks, seeds)  agreement of networks with each other

Each is a `Cell`; a study lists those it wants and adds its own. A row names cells and groups, so
that a killed run resumes and figures find what they draw. `Settings` are the usual factors with
their rows. For a new theory give `predicted` its spec; for a network of another kind give `Row` a
maker with `trained` and `fit`.
"""

from ...posteriors.told import told
from .networks import again, network, retrained
from .pairs import pairs
from .predictions import (
    ANOTHER_SEED,
    by_band,
    by_region,
    compared,
    predicted,
    predictions_of,
    reference,
)
from .rows import ByLabel, Maker, Row, labels_of, numbered, theory_of
from .scales import Fit, calibrated, held_out, publication
from .settings import Settings
from .sight import measured
from .theories import (
    FOUND,
    Theory,
    border_machine,
    fitted,
    found_for,
    named,
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
    "found_for",
    "held_out",
    "labels_of",
    "measured",
    "named",
    "network",
    "numbered",
    "pairs",
    "predicted",
    "predictions_of",
    "publication",
    "reference",
    "retrained",
    "settled",
    "source_of",
    "theory_of",
    "told",
]
