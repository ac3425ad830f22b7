"""One network, or several of one architecture at once, under the same loop.

Several are stacked: their weights become tensors with one more axis and the loss is mapped over it
(`torch.func.vmap`), each network with its own batches and its own clipping. The result is that of
training one after the other, to rounding. At the end the averaged weights are written into the
modules and the statistics of normalisation layers are measured again for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from .batches import Batch, Batches, Loss
from .train import Train


class Single:
    """One module, as it is; convolutions with channels last in memory, which is faster."""

    def __init__(self, module: nn.Module, loss: Loss, device: torch.device):
        # torch states no type for this form of `to`
        self.module: nn.Module = (
            cast(Any, module).to(device=device, memory_format=torch.channels_last).train()
        )
        self.loss = loss
        self.parameters = dict(module.named_parameters())
        self.buffers = dict(module.named_buffers())

    def losses(self, batches: list[Batch]) -> Tensor:
        """The loss of each network on its own batch, (R,)."""
        return self.loss(self.module, batches[0])[None]

    def clip(self, norm: float) -> None:
        """Scale the gradient of each network to at most this norm."""
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), norm)

    def finish(self, average: dict[str, Tensor] | None, draw: list[Batches], train: Train) -> None:
        """Put the averaged weights into the modules; evaluation mode after."""
        with torch.no_grad():
            for k, v in (average or {}).items():
                self.parameters[k].copy_(v)
        _remeasure(self.module, self.loss, draw[0], train)


class Stacked:
    """R modules of one architecture as one module with stacked weights."""

    def __init__(self, modules: Sequence[nn.Module], loss: Loss, device: torch.device):
        self.modules = [m.to(device).train() for m in modules]
        self.loss, self.shell = loss, modules[0]
        self.parameters, self.buffers = torch.func.stack_module_state(self.modules)

    def losses(self, batches: list[Batch]) -> Tensor:
        """The loss of each network on its own batch, (R,)."""

        def one(
            parameters: dict[str, Tensor],
            buffers: dict[str, Tensor],
            x: Tensor,
            noise: Tensor,
            sigma: Tensor,
            labels: Tensor | None,
        ) -> Tensor:
            call = _Call(self.shell, {**parameters, **buffers})
            return self.loss(call, Batch(x, noise, sigma, labels))

        x, noise, sigma = (
            torch.stack([getattr(b, k) for b in batches]) for k in ("x", "noise", "sigma")
        )
        told = [b.labels for b in batches if b.labels is not None]
        labels = torch.stack(told) if told else None
        dims = (0, 0, 0, 0, 0, None if labels is None else 0)
        return torch.func.vmap(one, dims)(self.parameters, self.buffers, x, noise, sigma, labels)

    def clip(self, norm: float) -> None:
        """Scale the gradient of each network to at most this norm."""
        grads = [p.grad for p in self.parameters.values() if p.grad is not None]
        total = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
        scale = (norm / (total + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)))

    def finish(self, average: dict[str, Tensor] | None, draw: list[Batches], train: Train) -> None:
        """Put the averaged weights into the modules; evaluation mode after."""
        for r, module in enumerate(self.modules):
            stacked = {**self.parameters, **self.buffers, **(average or {})}
            module.load_state_dict({k: v[r].detach() for k, v in stacked.items()}, strict=False)
            _remeasure(module, self.loss, draw[r], train)


class _Call:
    """A module called with other weights."""

    def __init__(self, module: nn.Module, tensors: dict[str, Tensor]):
        self.module, self.tensors = module, tensors

    def __call__(self, *args: object) -> Tensor:
        return torch.func.functional_call(self.module, self.tensors, args)


@torch.no_grad()
def _remeasure(
    module: nn.Module, loss: Loss, draw: Batches, train: Train, batches: int = 50
) -> None:
    """Statistics of normalisation layers, measured on training batches with the final weights;
    evaluation mode after.
    """
    layers: list[Any] = [
        m
        for m in module.modules()
        if hasattr(m, "reset_running_stats") and getattr(m, "momentum", None) is not None
    ]
    if layers:
        momenta = [m.momentum for m in layers]
        for m in layers:
            m.reset_running_stats()
            m.momentum = None  # a plain mean over the batches
        for t in range(batches):
            loss(module, draw(train.steps + t))
        for m, momentum in zip(layers, momenta, strict=True):
            m.momentum = momentum
    module.eval()
