"""Every architecture of the catalogue against a second computation from the same tensors, in
float64, and what its file says about it.
"""

import math

import network_standins as standins
import pytest
import torch
from torch.nn import functional as F

from archbias.errors import InputError
from archbias.networks import blind_cnn, flow_transformer, step_unet, time_cnn

MODULES = {
    "blind_cnn": blind_cnn,
    "time_cnn": time_cnn,
    "flow_transformer": flow_transformer,
    "step_unet": step_unet,
}


def double(state):
    return {k: v.double() for k, v in state.items()}


def noisy(module, batch=3, side=11):
    facts = module.facts
    g = torch.Generator().manual_seed(7)
    size = facts.size or (side, side)
    y = torch.randn(batch, facts.channels, *size, generator=g, dtype=torch.float64)
    return y, torch.tensor([0.4, 1.3, 2.0], dtype=torch.float64)[:batch]


def test_blind_cnn():
    state = double(standins.blind_cnn(channels=3))
    module = blind_cnn.build(state).double()
    y, sigma = noisy(module)
    h = F.conv2d(y, state["module.conv_layers.0.weight"], padding=1)
    for i, k in ((1, 1), (2, 3)):
        h = F.conv2d(h, state[f"module.conv_layers.{i}.weight"], padding=k // 2)
        sd, gamma = (state[f"module.BN_layers.{i - 1}.{n}"] for n in ("running_sd", "gammas"))
        h = torch.where(h * gamma / sd > 0, h * gamma / sd, 0.0)
    noise = F.conv2d(h, state["module.conv_layers.3.weight"], padding=1)
    torch.testing.assert_close(module(y, sigma), y - noise, rtol=1e-12, atol=1e-12)
    assert module.facts.window == 7
    torch.testing.assert_close(module(3.7 * y, sigma), 3.7 * module(y, sigma))


def whole_norm(h, weight, bias):
    """Over everything but the batch, by the definition."""
    flat = h.flatten(1)
    mean = flat.mean(1)[:, None, None, None]
    var = ((flat - flat.mean(1, keepdim=True)) ** 2).mean(1)[:, None, None, None]
    return (h - mean) / (var + 1e-5).sqrt() * weight + bias


def test_time_cnn():
    state = double(standins.time_cnn())
    module = time_cnn.build(state).double()
    y, _ = noisy(module)
    abar, steps = state["alpha_t"], len(state["alpha_t"]) - 1
    step = torch.tensor([3, 10, steps])
    sigma = ((1 - abar[step]) / abar[step]).sqrt()
    phase = (step.double() / steps)[:, None] * state["gt.frequencies"]
    e = torch.cat([phase.sin(), phase.cos() - 1], 1)
    for i in (0, 2, 4):
        e = e @ state[f"gt.time_embed.{i}.weight"].T + state[f"gt.time_embed.{i}.bias"]
        e = F.gelu(e) if i < 4 else e
    h = y * abar[step].sqrt()[:, None, None, None]
    for i in range(3):
        block = f"gt.blocks.{i}.net"
        h = F.conv2d(h, state[f"{block}.0.weight"], state[f"{block}.0.bias"], padding=2)
        h = F.gelu(whole_norm(h, state[f"{block}.1.weight"], state[f"{block}.1.bias"]))
        h = h + e[:, :, None, None] if i == 0 else h
    noise = F.conv2d(h, state["gt.blocks.3.weight"], state["gt.blocks.3.bias"], padding=1)
    clean = y - sigma[:, None, None, None] * noise
    torch.testing.assert_close(module(y, sigma), clean, rtol=1e-9, atol=1e-9)
    assert module.facts.window == 1 + 3 * 4 + 2
    low = float(((1 - abar[1]) / abar[1]).sqrt())
    assert module.facts.levels[0] == pytest.approx(low, rel=1e-5)


def test_time_between_two_steps_is_linear_in_the_log_of_sigma():
    module = time_cnn.build(standins.time_cnn()).double()
    grid = ((1 - module.abar) / module.abar).sqrt()
    between = (grid[6] ** 0.25 * grid[7] ** 0.75)[None]
    assert float(module.time_of(between)) == pytest.approx(6.75, abs=1e-9)


@pytest.mark.parametrize("labels", [None, torch.tensor([2, 0, 1])])
def test_flow_transformer(labels):
    """Against torch's own encoder layers, into which the file's tensors go under their names."""
    state = double(standins.flow_transformer(channels=2))
    module = flow_transformer.build(state).double()
    y, sigma = noisy(module)
    t = 1 / (1 + sigma)
    cut = F.conv2d(y * t[:, None, None, None], state["patch_embed.weight"], stride=3)
    cut = cut + state["patch_embed.bias"][:, None, None]
    tokens = cut.permute(0, 2, 3, 1).reshape(3, 4, 8) + state["pos_embed"]
    k = torch.arange(8, dtype=torch.float64)
    angle = t[:, None] * torch.exp(-math.log(10_000) * k / 7)
    row = torch.full((3,), 3) if labels is None else labels
    said = state["y_encoder.weight"][row].reshape(3, 2, 8)
    # the order of tokens without a place is of no account to an encoder
    h = torch.cat([said, angle.sin()[:, None], angle.cos()[:, None], tokens], 1)
    for i in range(2):
        layer = torch.nn.TransformerEncoderLayer(8, 4, 16, 0.0, "gelu", batch_first=True).double()
        at = f"transformer.{i}."
        layer.load_state_dict({k[len(at) :]: v for k, v in state.items() if k.startswith(at)})
        h = layer.train()(h)
    image = h[:, 4:].reshape(3, 2, 2, 8).permute(0, 3, 1, 2)
    image = F.conv_transpose2d(image, state["unpatch.weight"], state["unpatch.bias"], stride=3)
    torch.testing.assert_close(module(y, sigma, labels), image.detach(), rtol=1e-9, atol=1e-9)
    assert (module.facts.classes, module.facts.size) == (3, (6, 6))


def test_step_unet():
    state = {k.removeprefix("network."): v.double() for k, v in standins.step_unet().items()}
    module = step_unet.build(state).double()
    y, _ = noisy(module)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 15, dtype=torch.float64), 0)
    step = torch.tensor([0, 7, 14])
    sigma = ((1 - abar[step]) / abar[step]).sqrt()
    told = state["time_embed.weight"][step]

    def linear(name, v):
        return v @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def time(name):
        return linear(f"{name}.2", F.silu(linear(f"{name}.0", told)))[:, :, None, None]

    def conv(name, h, stride=1, padding=1):
        return F.conv2d(h, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    def up(name, h, stride=2, padding=1):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.conv_transpose2d(h, weight, bias, stride, padding)

    def blocks(name, h, last=False):
        for n in (0, 1):
            at = f"{name}.{n}"
            if not (last and n == 1):
                h = whole_norm(h, state[f"{at}.ln.weight"], state[f"{at}.ln.bias"])
            h = F.silu(conv(f"{at}.conv2", F.silu(conv(f"{at}.conv1", h))))
        return h

    one = blocks("b1", y * abar[step].sqrt()[:, None, None, None] + time("te1"))
    two = blocks("b2", conv("down1", one, 2) + time("te2"))
    low = conv("down2.2", F.silu(conv("down2.0", two, 1, 0)), 2)
    middle = blocks("b_mid", low + time("te_mid"))
    high = up("up1.2", F.silu(up("up1.0", middle)), 1, 0)
    three = blocks("b3", torch.cat([two, high], 1) + time("te3"))
    out = blocks("b_out", torch.cat([one, up("up2", three)], 1) + time("te_out"), last=True)
    clean = y - sigma[:, None, None, None] * conv("conv_out", out)
    torch.testing.assert_close(module(y, sigma), clean, rtol=1e-9, atol=1e-9)


def test_the_unet_is_told_the_nearest_step():
    module = step_unet.build(standins.step_unet()).double()
    grid = module.log_grid.exp()
    for row in (0, 6, 14):
        assert int(module.step_of(grid[row][None])) == row
        assert int(module.step_of(grid[row][None].float())) == row
    near = (grid[6] ** 0.6 * grid[7] ** 0.4)[None]
    assert int(module.step_of(near)) == 6


@pytest.mark.parametrize("name", standins.ALL)
def test_a_file_knows_its_architecture_alone(name):
    """However it was wrapped when it was saved."""
    state = standins.ALL[name]()
    bare = {k.removeprefix("module.").removeprefix("network."): v for k, v in state.items()}
    wrapped = {f"module.{k}": v for k, v in bare.items()}
    outs = []
    for s in (state, bare, wrapped):
        assert [n for n, module in MODULES.items() if module.recognise(s)] == [name]
        module = MODULES[name].build(s).double()
        outs.append(module(*noisy(module)))
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("name", standins.ALL)
def test_a_missing_and_a_strange_tensor_are_named(name):
    state = standins.ALL[name]()
    with pytest.raises(InputError, match="strange"):
        MODULES[name].build(state | {"strange": torch.zeros(1)})
    for gone in [k for k in state if k.endswith("weight") and "b_out.1.ln" not in k]:
        with pytest.raises(InputError, match=r"wanted .* got"):
            MODULES[name].build({k: v for k, v in state.items() if k != gone})


def test_other_shapes_are_read_from_the_file():
    assert blind_cnn.build(standins.blind_cnn((3, 3, 3, 3, 3), 4, 3)).facts.window == 11
    other = time_cnn.build(standins.time_cnn((3, 5, 6), 3, (6, 6), 7))
    assert (other.facts.channels, other.facts.size, other.steps) == (3, (6, 6), 7)
    vit = flow_transformer.build(standins.flow_transformer(3, 2, 4, 12, 1, 48))
    assert (vit.facts.classes, vit.facts.size, len(vit.layers)) == (47, (8, 8), 1)
    unet = step_unet.build(standins.step_unet(3, 14, (4, 8), 30))
    assert (unet.facts.channels, len(unet.log_grid)) == (3, 30)


def test_a_network_told_more_channels_than_it_gives_is_refused():
    state = standins.blind_cnn(channels=3)
    state["module.conv_layers.0.weight"] = torch.zeros(6, 4, 3, 3)
    with pytest.raises(InputError, match="4 channels in and 3 out"):
        blind_cnn.build(state)
