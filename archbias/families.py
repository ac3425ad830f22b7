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
import torch
from torch import Tensor

from .denoise import Denoiser, Spec, configure, from_json, to_json
from .errors import InputError, nearest
from .nets.dit import DiT
from .nets.mlp import MLP, PatchMLP
from .nets.resnet import ResNet
from .nets.shallow import Shallow
from .nets.unet import UNet
from .posteriors.blend import Blend
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
from .store import tensors, versions
from .store.files import write_bytes

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
    "blend": Blend,
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # 7else: said as an error if it is one
            call = ast.parse(text, mode="eval").body
        head, given = (call.func, call.keywords) if isinstance(call, ast.Call) else (call, [])
        settings = {k.arg or "**": ast.literal_eval(k.value) for k in given}
        if not isinstance(head, ast.Name):
            raise ValueError("no name of a family")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(
            f"a family is written NAME or NAME(setting=value), got {text!r:.80}; for example "
            "els(window=7)"
        ) from None
    return configure(family(head.id), **settings)


def save(denoiser: Denoiser, path: str | Path) -> None:
    """Write a fitted denoiser, whole or not at all, with the sha256 of its settings and tensors.

    Raises:
        InputError: its family is not registered.
        OSError: the file cannot be written.
    """
    header = {
        "family": name_of(denoiser.spec),
        "spec": json.dumps(to_json(denoiser.spec)),
        versions.KEY: str(versions.FORMAT),
    }
    state = {k: v.detach().contiguous().cpu() for k, v in denoiser.state().items()}
    header[tensors.KEY] = tensors.digest(header, state)
    write_bytes(Path(path).expanduser(), tensors.packed(header, state))


def load(path: str | Path) -> Denoiser:
    """The denoiser of a file written by `save`: the same output for the same input.

    Raises:
        InputError: the file is damaged, was not written by `save` or by a newer archbias, or its
            tensors are not those of its family and settings.
    """
    path = Path(path).expanduser()
    spec, state, sealed = _read(path)
    try:
        denoiser = spec.rebuild(state)
        again = denoiser.state()
        if again.keys() != state.keys():
            raise ValueError(f"not the same names: {sorted(again.keys() ^ state.keys())}")
        for name, tensor in again.items():
            if tensor.shape != state[name].shape:
                raise ValueError(f"{name} of another shape than {tuple(tensor.shape)}")
        if not sealed:  # an older file proves its tensors by use
            image = torch.zeros(1, *denoiser.shape)
            labels = torch.tensor(denoiser.classes[:1]) if denoiser.classes else None
            if denoiser(image, 1.0, labels).shape != image.shape:
                raise ValueError("they give no image")
    except Exception as error:  # each family fails in its own way
        got = ", ".join(f"{k} {tuple(v.shape)}" for k, v in list(state.items())[:4]) or "none"
        first = str(error).partition("\n")[0]
        raise InputError(
            f"wanted the tensors of {type(spec).__name__} in {path}, got {got} "
            f"({type(error).__name__}: {first}); fit it again"
        ) from error
    return denoiser


def check(path: str | Path) -> bool:
    """Whether `load` would give what was saved, at the cost of reading the file.

    Returns:
        Whether a checksum vouches for it; a file of an older archbias has none and is loaded.

    Raises:
        InputError: as `load` does.
    """
    if _read(Path(path).expanduser())[2]:
        return True
    load(path)
    return False


def _read(path: Path) -> tuple[Spec, dict[str, Tensor], bool]:
    """The spec and tensors of a file, and whether a checksum vouches for them."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # copies, which stay what they are when the file is replaced
            state = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"wanted a denoiser saved by archbias at {path}, got {error}; fit it again"
        ) from error
    version = versions.readable(header.get(versions.KEY), str(path))
    wanted = header.pop(tensors.KEY, None)
    if (version > 1 or wanted) and wanted != tensors.digest(header, state):
        raise InputError(f"{path} is damaged: it does not match its checksum; fit it again")
    for key in ("family", "spec"):
        if key not in header:
            raise InputError(
                f"{path} holds tensors but no {key}; save it with archbias.families.save"
            )
    try:
        settings = json.loads(header["spec"])
        spec = from_json(family(header["family"]), settings)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"wanted settings of {header['family']!r} in {path}, got {header['spec']:.80} "
            f"({error}); fit it again"
        ) from error
    return spec, state, wanted is not None
