"""Tiny networks of every architecture of the catalogue, as their authors' files would hold them:
random weights under the published keys.
"""

import torch

from archbias.networks import Entry
from archbias.networks.weights import sha256


def normal(generator, *shape, scale=0.3):
    return scale * torch.randn(*shape, generator=generator)


def blind_cnn(kernels=(3, 1, 3, 3), width=6, channels=1, seed=0):
    g = torch.Generator().manual_seed(seed)
    widths = [channels, *[width] * (len(kernels) - 1), channels]
    state = {}
    for i, k in enumerate(kernels):
        name = f"module.conv_layers.{i}.weight"
        fan = k * k * widths[i]  # what keeps a deep one alive
        state[name] = normal(g, widths[i + 1], widths[i], k, k, scale=(2 / fan) ** 0.5)
    for i in range(len(kernels) - 2):
        state[f"module.BN_layers.{i}.running_sd"] = 0.5 + torch.rand(1, width, 1, 1, generator=g)
        state[f"module.BN_layers.{i}.gammas"] = 1 + normal(g, 1, width, 1, 1)
    return state


def time_cnn(widths=(1, 4, 6, 5), kernel=5, size=(9, 8), steps=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    betas = torch.linspace(1e-3, 0.3, steps + 1)
    state = {"beta_t": betas, "alpha_t": (1 - betas).cumprod(0)}
    state["gt.frequencies"] = torch.tensor([0.0, 1.0, 2.5])
    for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        state[f"gt.blocks.{i}.net.0.weight"] = normal(g, b, a, kernel, kernel)
        state[f"gt.blocks.{i}.net.0.bias"] = normal(g, b)
        state[f"gt.blocks.{i}.net.1.weight"] = 1 + normal(g, b, *size)
        state[f"gt.blocks.{i}.net.1.bias"] = normal(g, b, *size)
    last = len(widths) - 1
    state[f"gt.blocks.{last}.weight"] = normal(g, widths[0], widths[-1], 3, 3)
    state[f"gt.blocks.{last}.bias"] = normal(g, widths[0])
    for i, (a, b) in enumerate([(6, 7), (7, 7), (7, widths[1])]):
        state[f"gt.time_embed.{2 * i}.weight"] = normal(g, b, a)
        state[f"gt.time_embed.{2 * i}.bias"] = normal(g, b)
    return state


def flow_transformer(channels=1, patch=3, grid=2, width=8, depth=2, labels=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    state = {"pos_embed": normal(g, 1, grid**2, width)}
    state["patch_embed.weight"] = normal(g, width, channels, patch, patch)
    state["patch_embed.bias"] = normal(g, width)
    shapes = {
        "self_attn.in_proj_weight": (3 * width, width),
        "self_attn.in_proj_bias": (3 * width,),
        "self_attn.out_proj.weight": (width, width),
        "self_attn.out_proj.bias": (width,),
        "linear1.weight": (2 * width, width),
        "linear1.bias": (2 * width,),
        "linear2.weight": (width, 2 * width),
        "linear2.bias": (width,),
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
    }
    for i in range(depth):
        state |= {f"transformer.{i}.{k}": normal(g, *shape) for k, shape in shapes.items()}
    state["unpatch.weight"] = normal(g, width, channels, patch, patch)
    state["unpatch.bias"] = normal(g, channels)
    state["y_encoder.weight"] = normal(g, labels, 2 * width)
    return state


def step_unet(channels=1, size=14, widths=(4, 6), steps=15, told=5, seed=0):
    """Two resolutions and the middle; half of `size` is odd."""
    g = torch.Generator().manual_seed(seed)
    state = {"network.time_embed.weight": normal(g, steps, told)}
    w1, w2 = widths

    def tensors(name, *shape):
        state[f"network.{name}.weight"] = normal(g, *shape)
        bias = shape[1] if name.startswith("up") else shape[0]
        state[f"network.{name}.bias"] = normal(g, bias)

    def stage(blocks, time, size, *widths):
        tensors(f"{time}.0", widths[0], told)
        tensors(f"{time}.2", widths[0], widths[0])
        for n, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            for part in ("weight", "bias"):
                state[f"network.{blocks}.{n}.ln.{part}"] = 1 + normal(g, a, size, size)
            tensors(f"{blocks}.{n}.conv1", b, a, 3, 3)
            tensors(f"{blocks}.{n}.conv2", b, b, 3, 3)

    stage("b1", "te1", size, channels, w1, w1)
    tensors("down1", w1, w1, 4, 4)
    stage("b2", "te2", size // 2, w1, w2, w2)
    tensors("down2.0", w2, w2, 2, 2)
    tensors("down2.2", w2, w2, 4, 4)
    stage("b_mid", "te_mid", (size // 2 - 1) // 2, w2, w1, w2)
    tensors("up1.0", w2, w2, 4, 4)
    tensors("up1.2", w2, w2, 2, 2)
    stage("b3", "te3", size // 2, 2 * w2, w2, w1)
    tensors("up2", w1, w1, 4, 4)
    stage("b_out", "te_out", size, 2 * w1, w1, w1)
    tensors("conv_out", channels, w1, 3, 3)
    return state


ALL = {
    "blind_cnn": blind_cnn,
    "time_cnn": time_cnn,
    "flow_transformer": flow_transformer,
    "step_unet": step_unet,
}


def entry_of(path, build, **more) -> Entry:
    """A catalogue entry for a stand-in's file."""
    settings = dict(
        name=path.stem,
        summary="a stand-in",
        file=path.name,
        sha256=sha256(path),
        bytes=path.stat().st_size,
        build=build,
        trained_on="nothing",
        licence="MIT",
    )
    return Entry(**settings | more)
