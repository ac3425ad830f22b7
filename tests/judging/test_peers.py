"""Networks of other libraries, trained for seconds by their own losses and loops, are judged by one
command; what archbias calls is what the library itself denoises.
"""

import importlib
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import archbias
from archbias import adapters, cli
from archbias.data import ImageSet
from archbias.judging import Convention
from archbias.judging.trial import TOLD

SIDE, STEPS = 12, 400
pytestmark = pytest.mark.slow


@dataclass
class Peer:
    """A trained network: the convention to call it by, and how its library denoises at a level."""

    model: nn.Module
    way: Convention
    level: float
    denoise: Callable


def needs(*names: str) -> list[types.ModuleType]:
    """The modules, or the test is skipped with the one that is missing."""
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ImportError as error:
            pytest.skip(f"{names[0]} cannot be imported: {error}")
    return found


def batches(images: ImageSet):
    return torch.utils.data.DataLoader(images.images, batch_size=16, shuffle=True)


def descended(parameters, loss: Callable[[torch.Tensor], torch.Tensor], images: ImageSet) -> None:
    """The loop the libraries' own examples write out."""
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(STEPS):
        rows = torch.randint(len(images), (16,))
        optimizer.zero_grad()
        loss(images.images[rows]).backward()
        optimizer.step()


def of_diffusers(images: ImageSet) -> Peer:
    [diffusers] = needs("diffusers")
    net = diffusers.UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=(8, 16),
        layers_per_block=1, norm_num_groups=4, down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    scheduler = diffusers.DDPMScheduler()

    def loss(x):
        noise, t = torch.randn_like(x), torch.randint(1000, (len(x),))
        return nn.functional.mse_loss(net(scheduler.add_noise(x, noise, t), t).sample, noise)

    descended(net.parameters(), loss, images)
    abar = scheduler.alphas_cumprod[300]

    def denoise(y):
        z = abar.sqrt() * y
        done = scheduler.step(net(z, 300).sample, 300, z, generator=torch.Generator())
        return done.pred_original_sample

    scheduler.config.clip_sample = False
    way = Convention(predicts="noise", input="vp", level="steps")
    return Peer(_Sample(net), way, float(((1 - abar) / abar).sqrt()), denoise)


class _Sample(nn.Module):
    """A network of diffusers that returns its tensor."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, z, t):
        return self.net(z, t).sample


def of_azula(images: ImageSet) -> Peer:
    noise, denoise, unet, layers = needs(
        "azula.noise", "azula.denoise", "azula.nn.unet", "azula.nn.layers"
    )

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.told = layers.SineEncoding(8)
            self.net = unet.UNet(1, 1, hid_channels=(8, 16), hid_blocks=(1, 1), mod_features=8)

        def forward(self, x, t):
            return self.net(x, self.told(t))

    schedule = noise.VPSchedule(alpha_min=0.02, sigma_min=0.02)
    whole = denoise.SimpleDenoiser(Backbone(), schedule)
    descended(whole.parameters(), lambda x: whole.loss(x, torch.rand(len(x))), images)
    alpha, sigma = schedule(torch.tensor(0.25))
    return Peer(
        whole.backbone,
        Convention(predicts="image", input="vp", level="log_sigma"),
        float(sigma / alpha),
        lambda y: whole(alpha * y, torch.full((len(y),), 0.25)).mean,
    )


def of_smalldiffusion(images: ImageSet) -> Peer:
    [small] = needs("smalldiffusion")
    model = small.DiT(in_dim=SIDE, channels=1, patch_size=2, depth=2, head_dim=8, num_heads=4)
    schedule = small.ScheduleLogLinear(N=200, sigma_min=0.02, sigma_max=20)
    epochs = STEPS * 16 // len(images)
    for _ in small.training_loop(batches(images), model, schedule, epochs=epochs, lr=3e-3):
        pass
    level = torch.tensor(0.7)
    return Peer(
        model.eval(),
        Convention(predicts="noise", input="ve", level="sigma"),
        0.7,
        lambda y: y - level * model.predict_eps(y, level),
    )


def of_denoising_diffusion_pytorch(images: ImageSet) -> Peer:
    [lucid] = needs("denoising_diffusion_pytorch")
    net = lucid.Unet(dim=8, dim_mults=(1, 2), channels=1)
    diffusion = lucid.GaussianDiffusion(
        net, image_size=SIDE, objective="pred_v", beta_schedule="linear"
    )
    descended(net.parameters(), lambda x: diffusion((x + 1) / 2), images)  # pixels in [0, 1]
    abar = diffusion.alphas_cumprod[300]
    return Peer(
        net.eval(),
        Convention(predicts="v", input="vp", level="steps"),
        float(((1 - abar) / abar).sqrt()),
        lambda y: (
            diffusion.model_predictions(
                abar.sqrt() * y, torch.full((len(y),), 300), clip_x_start=False
            ).pred_x_start
        ),
    )


PEERS = {
    "diffusers": of_diffusers,
    "azula": of_azula,
    "smalldiffusion": of_smalldiffusion,
    "denoising_diffusion_pytorch": of_denoising_diffusion_pytorch,
}


@pytest.fixture(scope="module")
def images():
    return archbias.load("fashion_mnist", n=40, size=SIDE)


@pytest.fixture(scope="module", params=PEERS)
def peer(request, images):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return request.param, PEERS[request.param](images)


def test_what_is_called_is_what_the_library_denoises(peer, images):
    _, made = peer
    way = made.way
    denoiser = adapters.from_module(
        made.model, images.shape, predicts=way.predicts, input=way.input, level=TOLD[way.level]()
    )
    noise = archbias.seeds.normal(range(8), images.shape)
    y = images.images[:8] + made.level * noise
    with torch.no_grad():
        want = made.denoise(y)
    torch.testing.assert_close(denoiser(y, made.level), want, atol=1e-4, rtol=1e-4)
    error = (want - images.images[:8]).square().mean()
    assert error < 0.9 * min(made.level**2, images.images.var(0).mean().item())  # it has learnt


def test_one_command_judges_it(peer, tmp_path, monkeypatch, capsys):
    name, made = peer
    module = types.ModuleType("peers_made")
    module.network = made.model
    monkeypatch.setitem(sys.modules, "peers_made", module)
    told = [f"--{k}={getattr(made.way, k)}" for k in ("predicts", "input", "level")]
    words = ["--images", "fashion_mnist", "--n", "40", "--size", str(SIDE), "--preset", "toy"]
    out = ["--out", str(tmp_path / "run"), "--quiet"]
    assert cli.main(["judge", "peers_made:network", *words, *told, *out]) == 0, name
    said = capsys.readouterr().out
    assert "network" in said.splitlines()[0]
    assert "predicts nothing" not in said
    health = archbias.open_study(tmp_path / "run")["health"]["error"].isel(family=0)
    error = health.sel(kind="training", denoiser="network")
    error = error.mean([d for d in error.dims if d != "sigma"])
    spread = archbias.load("fashion_mnist", n=40, size=SIDE).images.var(0).mean().item()
    assert (error < np.minimum(error["sigma"] ** 2, spread)).any()  # it knows something
    assert (tmp_path / "run" / "report.html").is_file()
