"""A network as it comes, as one that can be called with any dtype on any device and never changes.

What is kept is a copy in evaluation mode. Wrappers that only carry a network (DataParallel,
DistributedDataParallel, torch.compile) are taken off. Tensors that a network keeps from its last
call (activations, the weights that old `weight_norm` and `spectral_norm` hooks compute) belong to a
graph and cannot be copied; their values are. What cannot be called again with the same answer is
refused.
"""

from __future__ import annotations

import copy
import inspect
import io
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import InputError


class Frozen:
    """A frozen copy of a network: `frozen.like(y)(*inputs)` calls it in y's dtype, on y's device.

    module: the copy; tensors: its parameters and buffers by name.
    """

    def __init__(self, module: nn.Module):
        _refuse(module)
        self.module = _copied(_bare(module))
        for name, part in list(self.module.named_modules()):
            if _bare(part) is not part:
                self.module.set_submodule(name, _bare(part))
        self.module = self.module.eval()
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
        self.scripted = isinstance(self.module, torch.jit.ScriptModule)
        self.tensors: dict[str, Tensor] = OrderedDict(
            [*self.module.named_parameters(), *self.module.named_buffers()]
        )
        self._scripts: dict[tuple[torch.dtype, torch.device], nn.Module] = {}

    def like(self, y: Tensor, tensors: dict[str, Tensor]) -> Callable[..., object]:
        """The network with these tensors, which have the dtype and the device of y."""
        if not self.scripted:
            return lambda *inputs: torch.func.functional_call(self.module, tensors, inputs)
        # a script takes no other tensors in a call: one copy for each dtype and device
        key = (y.dtype, y.device)
        if key not in self._scripts:
            self._scripts[key] = _script(cast(Any, self.module)).to(device=y.device, dtype=y.dtype)
        return self._scripts[key]

    def takes(self, inputs: int, remedy: str) -> None:
        """An InputError unless the network can be called with so many inputs."""
        if self.scripted:
            own = cast(Any, self.module).forward.schema.arguments[1:]
            fits = sum(not a.has_default_value() for a in own) <= inputs <= len(own)
        else:
            try:
                inspect.signature(self.module.forward).bind(*range(inputs))
                fits = True
            except TypeError:
                fits = False
        if not fits:
            raise InputError(
                f"wanted a network that is called with {inputs} input{'s' if inputs > 1 else ''}, "
                f"got {type(self.module).__name__}, whose forward takes another number; {remedy}"
            )


def _bare(module: nn.Module) -> nn.Module:
    """The network inside wrappers that only carry it."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif hasattr(module, "_orig_mod"):  # torch.compile
            module = cast(nn.Module, module._orig_mod)
        else:
            return module


def _refuse(module: nn.Module) -> None:
    """An InputError for what no copy of which would be a denoiser."""
    if isinstance(module, Mapping):
        raise InputError(
            f"wanted a network, got its {len(module)} tensors without the code; build the network, "
            "call its load_state_dict and adapt that"
        )
    if not isinstance(module, nn.Module):
        raise InputError(
            f"wanted a torch.nn.Module, got {type(module).__name__}; adapt other functions with "
            "archbias.adapters.from_callable"
        )
    name = type(module).__name__
    for key, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer) or tensor.is_meta:
            raise InputError(
                f"wanted a network with weights, got {name} whose {key} has none yet; call it once "
                "or load its weights first"
            )
    for key, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise InputError(
                f"wanted a network whose output for an image depends on that image alone, got "
                f"{name} whose {key} normalises by the batch; train it with "
                "track_running_stats=True"
            )


def _script(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """A copy of a script whose parameters belong to no graph, unlike those of a deep copy."""
    whole = io.BytesIO()
    torch.jit.save(module, whole)
    whole.seek(0)
    return torch.jit.load(whole)


def _copied(module: nn.Module) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        return _script(module)
    memo: dict[int, object] = {}
    for part in module.modules():
        if not isinstance(part, torch.jit.ScriptModule):
            _values(vars(part), memo, set())
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"wanted a network that can be copied, got {type(module).__name__} ({reason}); adapt "
            "it as it is with archbias.adapters.from_callable"
        ) from error


def _values(kept: object, memo: dict[int, object], seen: set[int]) -> None:
    """Enter the values of tensors that belong to a graph into the memo of a copy."""
    if id(kept) in seen:
        return
    seen.add(id(kept))
    if isinstance(kept, Tensor):
        if not kept.is_leaf:
            memo[id(kept)] = kept.detach().clone()
    elif isinstance(kept, Mapping):
        for value in kept.values():
            _values(value, memo, seen)
    elif isinstance(kept, list | tuple | set):
        for value in kept:
            _values(value, memo, seen)
    elif hasattr(kept, "__dict__") and not isinstance(kept, nn.Module | type):
        _values(vars(kept), memo, seen)
