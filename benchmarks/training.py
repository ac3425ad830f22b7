"""Training speed: images/s of `archbias.nets.train` against a training loop written out in plain
PyTorch.

    python benchmarks/training.py [--threads 2] [--seconds 10] [--device cpu|cuda] [--busy] [--out
    runs/benchmarks]

Both train the same network on the same images with the same mathematics: stratified noise levels,
squared error of the preconditioned output, Adam, clipped gradients, averaged weights. The two are
measured in turns, several times, and the median of each is printed with their ratio (above 1:
archbias is faster). On a GPU also bf16, `torch.compile`, and several replicates at once.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from archbias import seeds
from archbias.data import ImageSet
from archbias.denoise import Runtime
from archbias.nets import train
from archbias.nets.mlp import MLP
from archbias.nets.network import Network, build
from archbias.nets.resnet import ResNet
from archbias.nets.scaling import loss_of
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.store import provenance


def plain(spec: Network, images: ImageSet, device: str, steps: int) -> float:
    """Images/s of a loop as one would write it in a notebook."""
    settings = spec.train
    net = build(spec, images.shape, 0, 0).to(device).train()
    x = images.images.to(device)
    sd = x.square().mean().sqrt()
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    average = [p.detach().clone() for p in net.parameters()]
    began = _clock(device)
    for step in range(steps):
        index = torch.randint(len(x), (settings.batch,), device=device)
        clean = x[index]
        u = (
            torch.arange(settings.batch, device=device) + torch.rand(settings.batch, device=device)
        ) / settings.batch
        sigma = torch.tan((1 - u) / 1.008 * (torch.pi / 2)).clamp(min=2e-3)
        s = sigma[:, None, None, None]
        noisy = clean + s * torch.randn_like(clean)
        total = (s**2 + sd**2).sqrt()
        target = (clean - sd**2 / total**2 * noisy) / (s * sd / total)
        loss = (net(noisy / total, sigma.log() / 4, None) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimizer.param_groups[0]["lr"] = settings.rate(step)
        optimizer.step()
        with torch.no_grad():
            for a, p in zip(average, net.parameters(), strict=True):
                a.lerp_(p, 1 - settings.ema)
    return steps * settings.batch / (_clock(device) - began)


def ours(spec: Network, images: ImageSet, device: str, steps: int, replicates: int = 1) -> float:
    """Images/s of `archbias.nets.train.steps`, counted over all replicates, without the first step
    (compilation) and what follows the last.
    """
    nets = [build(spec, images.shape, 0, r) for r in range(replicates)]
    scale = images.images.square().mean().sqrt().to(device)
    settings = replace(spec.train, steps=steps + 2)
    taken = train.steps(
        nets,
        loss_of(spec, scale),
        images,
        settings,
        seed=list(range(replicates)),
        runtime=Runtime(device=device),
    )
    next(taken)
    began = _clock(device)
    for _ in range(steps):
        next(taken)
    return steps * settings.batch * replicates / (_clock(device) - began)


BUSY = False


def _clock(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.process_time() if BUSY else time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="for each network, all turns together"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="count processor time: for one thread on a machine that others use",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    args = parser.parse_args()
    global BUSY
    BUSY = args.busy
    torch.set_num_threads(args.threads)
    images = ImageSet.from_array(seeds.normal(range(1000), (3, 32, 32)).tanh())
    specs: dict[str, Network] = {
        "unet, 16 channels, 2 levels": UNet(channels=16),
        "unet, batch norm, 3 levels": UNet(channels=16, levels=3, normalisation="batch"),
        "resnet, 6 layers of 48": ResNet(),
        "mlp, 9 layers of 200": MLP(),
    }
    where = (
        f"{args.threads} threads"
        if args.device == "cpu"
        else torch.cuda.get_device_name(args.device)
    )
    print(
        f"{where}, torch {torch.__version__}\n"
        f"{'network':32}{'plain':>10}{'archbias':>10}{'ratio':>8}"
    )
    rows = []

    def record(name: str, plain: float, ours: float) -> None:
        rows.append(f"| {name} | {plain:.0f} | {ours:.0f} | {ours / plain:.2f} |")
        print(f"{name:32}{plain:10.0f}{ours:10.0f}{ours / plain:8.2f}", flush=True)

    for name, spec in specs.items():
        spec = replace(spec, train=Train(batch=64, learning_rate=1e-3))
        steps = max(3, int(args.seconds / 6 * plain(spec, images, args.device, 3) / 64))
        runs = [
            (plain(spec, images, args.device, steps), ours(spec, images, args.device, steps))
            for _ in range(3)
        ]
        slow, fast = (sorted(r)[1] for r in zip(*runs, strict=True))
        record(name, slow, fast)
        if args.device != "cpu":
            for change, more in (
                ("bf16", {"precision": "bf16"}),
                ("compiled", {"compile": True}),
                ("bf16, compiled", {"precision": "bf16", "compile": True}),
            ):
                changed = replace(spec, train=replace(spec.train, **more))
                record(f"{name}, {change}", slow, ours(changed, images, args.device, steps))
            record(
                f"{name}, 4 replicates at once",
                slow,
                ours(spec, images, args.device, steps, replicates=4),
            )
    load = f"load average {os.getloadavg()[0]:.1f} at the end"
    about = f"{provenance()['platform']}, {where}, torch {torch.__version__}, {load}."
    head = ["# Training: images/s, 1000 images of 3 x 32 x 32, batch 64, float32", "", about]
    clock = "Processor time of one thread." if BUSY else "Wall time."
    head += [
        f"{clock} Medians of three turns.",
        "",
        "| network | plain loop | archbias | ratio |",
        "|---|---|---|---|",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cpu" if args.device == "cpu" else "cuda"
    (args.out / f"training-{device}.md").write_text("\n".join(head + rows) + "\n")


if __name__ == "__main__":
    main()
