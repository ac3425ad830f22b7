"""What is judged: a name or a place, as a denoiser or as a network whose convention is to be found.

    my_module:make          what make() returns, or the object itself
    FILE.safetensors        a denoiser saved by archbias
    FOLDER                  a diffusers pipeline with a pixel-space network and a scheduler
    mnist-cnn               a network of the catalogue, `archbias networks list`

Import paths run code, which is why only the user names them; a run folder only remembers the text.
Weights are read from safetensors.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import adapters, families, networks
from ..denoise import Denoiser
from ..errors import InputError

Model = Denoiser | nn.Module | Callable
PARTS = ("unet", "transformer")  # where a pipeline keeps its network
FORMS = (
    "my_module:make, a saved denoiser FILE.safetensors, a folder of a diffusers pipeline, or a "
    "name of archbias networks list"
)


def opened(
    text: str, shape: tuple[int, int, int] | None = None, root: str | None = None
) -> tuple[str, Model]:
    """The name and the denoiser, network or function that a target stands for.

    Args:
        text: the target. shape: (C, H, W) of the images, where the target does not say.
        root: the folder of weight files of a name of the catalogue.
    """
    path = Path(text).expanduser()
    if path.suffix == ".safetensors":
        return path.stem, families.load(path)
    if (path / "model_index.json").is_file():
        return path.resolve().name, _pipeline(path, shape)
    if text in networks.names():
        size = None if shape is None or networks.entry(text).size is None else shape[1:]
        return text, networks.load(text, root=root, size=size, conditional=False)
    if ":" in text and not path.exists():
        return text.rpartition(":")[2], _imported(text)
    raise InputError(f"wanted {FORMS}, got {text!r}; check the spelling, or give a full path")


def kind_of(model: object) -> Model:
    """The model itself, if it can be judged."""
    if isinstance(model, Denoiser | nn.Module) or callable(model):
        return model
    raise InputError(
        f"wanted a denoiser, a network or a function of (y, sigma), got {type(model).__name__}; "
        "return one of these"
    )


def fingerprint(model: Model) -> str:
    """sha256 of the names and values of a model's tensors; "" where it has none to show."""
    if isinstance(model, Denoiser):
        tensors = model.state()
    elif isinstance(model, nn.Module):
        tensors = model.state_dict()
    else:
        return ""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if tensors else ""


def _imported(text: str) -> Model:
    module, _, attribute = text.rpartition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"cannot import the target {text!r} ({error}); it is written module:name, and the "
            "module is looked for in the folder of the command and among installed packages"
        ) from error
    if isinstance(found, Denoiser | nn.Module):
        return found
    if callable(found) and _takes_nothing(found):
        found = found()
    return kind_of(found)


def _takes_nothing(make: Callable) -> bool:
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError):
        return False
    return True


def _pipeline(folder: Path, shape: tuple[int, int, int] | None) -> Denoiser:
    """The network and scheduler of a pipeline, without running any code of its folder."""
    try:
        import diffusers
    except ImportError:
        raise InputError(
            f"{folder} is a pipeline of the diffusers library, which is not installed; pip install "
            "'archbias[diffusers]'"
        ) from None
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))

    def part(name: str) -> Any:
        library, kind = index.get(name, (None, None))
        if library != "diffusers" or not hasattr(diffusers, kind):
            raise InputError(
                f"wanted the {name} of the pipeline {folder} from the diffusers library, got "
                f"{library}.{kind}; load it yourself and give an import path"
            )
        weights = {} if name == "scheduler" else {"use_safetensors": True}
        try:
            return getattr(diffusers, kind).from_pretrained(
                folder / name, local_files_only=True, **weights
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot read the {name} of {folder} ({str(error).splitlines()[0]}); save it again "
                "with safe_serialization=True"
            ) from error

    name = next((p for p in PARTS if index.get(p, (None, None))[0]), None)
    if name is None or "scheduler" not in index or "vae" in index:
        raise InputError(
            f"wanted a pipeline with a scheduler and a {' or '.join(PARTS)}, got "
            f"{', '.join(k for k in index if not k.startswith('_'))} in {folder}; pipelines of "
            "latent images are not judged"
        )
    network = part(name)
    told = getattr(network.config, "sample_size", None)
    return adapters.from_diffusers(network, part("scheduler"), shape=None if told else shape)
