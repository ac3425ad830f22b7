"""Every family by name, and fitted denoisers on disk.

    FAMILIES["els"](window=7).fit(images)

A family outside the package joins through the entry point group `archbias.families`: NAME =
"module:SpecClass". A saved denoiser is one safetensors file: its tensors, with the family and
settings as JSON in the header. No pickle.
"""

from __future__ import annotations

import ast
import json
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import safetensors
import safetensors.torch

from .denoise import Denoiser, Spec, configure, from_json, to_json
from .errors import InputError, nearest
from .nets.dit import DiT
from .nets.mlp import MLP, PatchMLP
from .nets.resnet import ResNet
from .nets.shallow import Shallow
from .nets.unet import UNet
from .posteriors.golden import Golden
from .posteriors.graded import Graded
from .posteriors.ideal import Ideal
from .posteriors.masked import Masked
from .posteriors.patch_composite import PatchComposite
from .posteriors.score_machines import BBELS, ELS, ES, LS
from .posteriors.smoothed import Smoothed
from .regressions.bottleneck import Bottleneck
from .regressions.linear import Linear
from .regressions.polynomial import Polynomial
from .regressions.power_features import PowerFeatures
from .regressions.power_patches import PowerPatches
from .store.files import replacing

FAMILIES: dict[str, type[Spec]] = {
    "ideal": Ideal,
    "es": ES,
    "ls": LS,
    "els": ELS,
    "bbels": BBELS,
    "graded": Graded,
    "masked": Masked,
    "smoothed": Smoothed,
    "patch_composite": PatchComposite,
    "golden": Golden,
    "linear": Linear,
    "polynomial": Polynomial,
    "power_features": PowerFeatures,
    "power_patches": PowerPatches,
    "bottleneck": Bottleneck,
    "shallow": Shallow,
    "mlp": MLP,
    "patch_mlp": PatchMLP,
    "resnet": ResNet,
    "unet": UNet,
    "dit": DiT,
}

for _entry in entry_points(group="archbias.families"):
    try:
        FAMILIES[_entry.name] = _entry.load()
    except Exception as _error:
        warnings.warn(
            f"family {_entry.name!r} of {_entry.value} cannot be loaded: {_error}", stacklevel=1
        )


def family(name: str) -> type[Spec]:
    """The Spec class of a family; an InputError names the closest ones."""
    if name not in FAMILIES:
        raise InputError(f"unknown family {name!r}; {nearest(name, FAMILIES)}")
    return FAMILIES[name]


def name_of(spec: Spec) -> str:
    """The family's name in FAMILIES."""
    for name, cls in FAMILIES.items():
        if type(spec) is cls:
            return name
    raise InputError(
        f"{type(spec).__name__} is no registered family; register it with the entry point "
        "archbias.families"
    )


def parse(text: str) -> Spec:
    """A spec from text such as 'els' or 'els(window=7)'; values are Python literals."""
    try:
        call = ast.parse(text, mode="eval").body
        name = call.func.id if isinstance(call, ast.Call) else call.id
        settings = (
            {k.arg: ast.literal_eval(k.value) for k in call.keywords}
            if isinstance(call, ast.Call)
            else {}
        )
    except (SyntaxError, AttributeError, ValueError):
        raise InputError(
            f"a family is written NAME or NAME(setting=value), got {text!r}; for example "
            "els(window=7)"
        ) from None
    return configure(family(name), **settings)


def save(denoiser: Denoiser, path: str | Path) -> None:
    """Write a fitted denoiser, whole or not at all; a full disk is an OSError."""
    header = {"family": name_of(denoiser.spec), "spec": json.dumps(to_json(denoiser.spec))}
    state = {k: v.contiguous().cpu() for k, v in denoiser.state().items()}
    # made in memory and written by the ordinary checked call: the library's own writer may map the
    # file, and a mapped file on a full disk ends the process by a signal
    whole = safetensors.torch.save(state, metadata=header)
    with replacing(Path(path).expanduser()) as part:
        part.write_bytes(whole)


def load(path: str | Path) -> Denoiser:
    """The denoiser of a file written by `save`: the same output for the same input.

    Raises:
        InputError: the file is damaged, or is something else.
    """
    path = Path(path).expanduser()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # copies, which stay what they are when the file is replaced
            state = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"wanted a denoiser saved by archbias at {path}, got {error}; fit it again"
        ) from error
    if "family" not in header:
        raise InputError(f"{path} holds tensors but no family; save it with archbias.families.save")
    cls = family(header["family"])
    try:
        return from_json(cls, json.loads(header["spec"])).rebuild(state)
    except Exception as error:  # of a header or tensors that no `save` wrote
        first = str(error).partition("\n")[0]
        raise InputError(
            f"{path} is no whole denoiser of family {header['family']!r} "
            f"({type(error).__name__}: {first}); fit it again"
        ) from error
