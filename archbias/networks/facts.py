"""What a published network is, read from its weights: the module and the facts around it.

An architecture is one file with

    WANTED                   a sentence on what its weight files hold
    recognise(state)         do these tensors look like one of its files?
    build(state)             the network those tensors are, an `nn.Module`

and the module has `facts` and one method, in the pixel range it was trained on:

    module(y, sigma, labels)    estimates E[x | y],   y = x + sigma n

What the module is really given (y, a scaled y, a mixture) and what it really predicts (the noise,
the clean image) is its own affair, said at the head of its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from ..errors import InputError

State = dict[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a network from the shapes and the numbers of its file.

    channels: of its images.
    size: (H, W) it was built for; None for a network that takes any.
    classes: labels 0 to classes - 1 it can be told; 0 for none. It can always be told none.
    levels: (low, high) noise levels it was trained at, in its own pixel units, where the file
        tells; high may be infinite.
    blind: not told the noise level.
    window: side of the square of pixels its convolutions see; None where every pixel sees all.
    global_norm: a normalisation over the whole image gives every pixel two numbers of all others.
    homogeneous: module(c y) = c module(y) for c > 0, exactly: no bias anywhere.
    """

    channels: int
    size: tuple[int, int] | None = None
    classes: int = 0
    levels: tuple[float, float] | None = None
    blind: bool = False
    window: int | None = None
    global_norm: bool = False
    homogeneous: bool = False


def without_prefix(state: State, *prefixes: str) -> State:
    """The tensors under their names without the wrappers' prefixes, which are taken off in turn."""
    for prefix in prefixes:
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def renamed(state: State, names: dict[str, str], ignored: tuple[str, ...], wanted: str) -> State:
    """The tensors under this package's names.

    Args:
        names: from the file's key to ours, for every tensor of the network.
        ignored: keys of the file that say nothing the others do not.
        wanted: what an error says such a file holds.

    Raises:
        InputError: a tensor is missing, or one is left over.
    """
    missing = [key for key in names if key not in state]
    if missing:
        raise InputError(
            f"wanted {wanted}, got no tensor {missing[0]!r}; give the file of such a network"
        )
    over = [key for key in state if key not in names and key not in ignored]
    if over:
        raise InputError(
            f"wanted {wanted}, got the tensor {over[0]!r} as well, which such a network does not "
            "have; give the file of another kind to its own reader"
        )
    return {ours: state[key] for key, ours in names.items()}


def filled(module: Module, state: State, wanted: str) -> Module:
    """The module with the tensors in it, in evaluation mode and without gradients."""
    for key, have in module.state_dict().items():
        if key not in state or have.shape != state[key].shape:
            got = f"shape {tuple(state[key].shape)}" if key in state else "nothing"
            raise InputError(
                f"wanted {wanted}, got {got} for {key} where the other shapes call for "
                f"{tuple(have.shape)}; give the whole file of one network"
            )
    module.load_state_dict(state, strict=True)
    return module.eval().requires_grad_(False)
