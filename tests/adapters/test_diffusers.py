"""Other people's models: the trajectories of the diffusers library, of an EDM sampler, and there
and back.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from archbias import adapters, noise, sample, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal

diffusers = pytest.importorskip(
    "diffusers", reason="install archbias[diffusers] to compare with that library"
)

# of the library about numpy
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
KINDS = ["epsilon", "sample", "v_prediction"]


def small_unet(**more):
    torch.manual_seed(1)
    settings = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 4,
    }
    return diffusers.UNet2DModel(**settings | more).eval()


def scheduler_of(kind, **more):
    return diffusers.DDIMScheduler(prediction_type=kind, clip_sample=False, **more)


@torch.no_grad()
def library_trajectory(unet, scheduler, x, steps, **step):
    """DDIM as the library runs it, every state, in its own variance-preserving coordinates."""
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    states = [x]
    for t in scheduler.timesteps:
        states.append(scheduler.step(unet(states[-1], t).sample, t, states[-1], **step).prev_sample)
    return torch.stack(states)


def images(n=5, shape=(1, 8, 8)):
    return ImageSet.from_array(seeds.normal(range(n), shape).clamp(-3, 3) / 3)


# ---- diffusers
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_trajectory_is_that_of_the_library(kind, spacing):
    unet, scheduler, steps = small_unet().double(), scheduler_of(kind, timestep_spacing=spacing), 10
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    sigmas = adapters.sigmas_of(scheduler, steps)
    n = seeds.normal(range(3), (1, 8, 8), dtype=torch.float64)
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler), n, sigmas, path=True)
    abar = noise.abar_of(sigmas)
    theirs = library_trajectory(unet, scheduler, (1 - abar[0]).sqrt() * n, steps)
    ours = ours * abar.sqrt()[:, None, None, None, None]
    assert sigmas[-1] == 0
    assert (ours - theirs).abs().max() < 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("offset", [0, 1])
def test_trajectory_in_single_precision_that_does_not_end_at_zero(offset):
    unet = small_unet()
    scheduler = scheduler_of(
        "epsilon", beta_schedule="squaredcos_cap_v2", set_alpha_to_one=False, steps_offset=offset
    )
    sigmas = adapters.sigmas_of(scheduler, 20)
    assert len(sigmas) == 20 + offset
    n = seeds.normal(range(2), (1, 8, 8))
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler), n, sigmas)
    abar = noise.abar_of(sigmas).float()
    theirs = library_trajectory(unet, scheduler, (1 - abar[0]).sqrt() * n, 20)[-1]
    assert sigmas[-1] > 0
    assert (abar[-1].sqrt() * ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


def test_clipping_is_that_of_the_library():
    unet, scheduler = small_unet(), diffusers.DDIMScheduler(clip_sample=True)
    sigmas = adapters.sigmas_of(scheduler, 10)
    n = seeds.normal(range(2), (1, 8, 8))
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler, clip=1.0), n, sigmas)
    start = (1 - noise.abar_of(sigmas)[0]).sqrt().float() * n
    theirs = library_trajectory(unet, scheduler, start, 10, use_clipped_model_output=True)[-1]
    assert theirs.abs().max() == 1
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize(
    "name",
    ["DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"],
)
def test_any_scheduler_with_alphas(name):
    """The schedulers share their alphas, so the same network is the same denoiser under each."""
    unet, scheduler = small_unet(), getattr(diffusers, name)()
    y = seeds.normal(range(2), (1, 8, 8))
    sigma = noise.sigma_of(scheduler.alphas_cumprod.double())[250].item()
    one = adapters.from_diffusers(unet, scheduler)(y, sigma)
    other = adapters.from_diffusers(unet, diffusers.DDIMScheduler())(y, sigma)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_the_denoised_image_is_what_the_scheduler_calls_the_original_sample(kind):
    unet, scheduler = small_unet().double(), scheduler_of(kind)
    scheduler.set_timesteps(1000)
    x = seeds.normal(range(2), (1, 8, 8), dtype=torch.float64)
    for t in (1, 400, 999):
        abar = scheduler.alphas_cumprod.double()[t]
        with torch.no_grad():
            wanted = scheduler.step(unet(x, t).sample, t, x).pred_original_sample
            got = adapters.from_diffusers(unet, scheduler)(
                x / abar.sqrt(), noise.sigma_of(abar).item()
            )
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_levels_between_training_steps_are_interpolated():
    told = []

    class Listener(nn.Module):
        config = copy.deepcopy(small_unet().config)

        def forward(self, u, t):
            told.append(t)
            return (torch.zeros_like(u),)

    scheduler = scheduler_of("epsilon")
    grid = noise.sigma_of(scheduler.alphas_cumprod.double())
    denoiser = adapters.from_diffusers(Listener(), scheduler)
    y = torch.zeros(6, 1, 8, 8, dtype=torch.float64)
    between = (grid[10] * grid[11]).sqrt()
    denoiser(y[:4], torch.stack([grid[0], grid[10], between, grid[999]]))
    np.testing.assert_allclose(told[0], [0, 10, 10.5, 999], atol=1e-9)
    for outside in (grid[0] / 2, grid[999] * 2):
        with pytest.raises(InputError, match="this denoiser was trained at sigma from"):
            denoiser(y, outside)
    assert len(told) == 1
    whole = grid.float()
    denoiser(torch.zeros(1000, 1, 8, 8), whole)
    assert torch.equal(told[1], torch.arange(1000.0))


def test_classes_variance_channels_and_learned_steps():
    unet = small_unet(
        num_class_embeds=3, out_channels=2, time_embedding_type="learned", num_train_timesteps=1000
    )
    scheduler = scheduler_of("epsilon")
    denoiser = adapters.from_diffusers(unet, scheduler)
    y, sigma = (
        seeds.normal(range(2), (1, 8, 8)),
        noise.sigma_of(scheduler.alphas_cumprod)[300].item(),
    )
    labels = torch.tensor([2, 0])
    with torch.no_grad():
        eps = unet(y / (1 + sigma**2) ** 0.5, torch.tensor([300, 300]), class_labels=labels).sample[
            :, :1
        ]
    torch.testing.assert_close(denoiser(y, sigma, labels), y - sigma * eps, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="class-conditional"):
        denoiser(y, sigma)
    with pytest.raises(InputError, match="label 3"):
        denoiser(y, sigma, torch.tensor([3, 0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_in_the_library_takes_our_trajectory(kind):
    denoiser, scheduler = Ideal().fit(images()), scheduler_of(kind)
    unet = adapters.to_diffusers(denoiser, scheduler)
    sigmas = adapters.sigmas_of(scheduler, 10)
    n = seeds.normal(range(2), (1, 8, 8), dtype=torch.float64)
    ours = sample.ddim(denoiser, n, sigmas)
    theirs = library_trajectory(unet, scheduler, (1 - noise.abar_of(sigmas)[0]).sqrt() * n, 10)[-1]
    assert (ours - theirs).abs().max() < 1e-4


def test_a_denoiser_runs_in_a_pipeline_of_the_library():
    denoiser = Ideal().fit(images())
    scheduler = scheduler_of("epsilon")
    pipeline = diffusers.DDIMPipeline(
        unet=adapters.to_diffusers(denoiser, scheduler), scheduler=scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        batch_size=2,
        num_inference_steps=10,
        output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).images
    assert made.shape == (2, 8, 8, 1)
    near = min(
        float((torch.from_numpy(made[0, ..., 0]).float() * 2 - 1 - x).abs().max())
        for x in images().images[:, 0]
    )
    assert near < 1e-3  # the ideal denoiser copies a training image


def test_there_and_back_is_the_same_denoiser():
    denoiser, scheduler = Ideal().fit(images()), scheduler_of("v_prediction")
    again = adapters.from_diffusers(adapters.to_diffusers(denoiser, scheduler), scheduler)
    y = seeds.normal(range(3), (1, 8, 8), dtype=torch.float64)
    sigma = noise.sigma_of(scheduler.alphas_cumprod.double())[500].item()
    torch.testing.assert_close(again(y, sigma), denoiser(y, sigma), rtol=1e-6, atol=1e-6)


def test_networks_and_schedulers_that_cannot_be_adapted_say_why():
    with pytest.raises(InputError, match="UNet2DModel"):
        adapters.from_diffusers(nn.Conv2d(1, 1, 1), scheduler_of("epsilon"))
    with pytest.raises(InputError, match="sample_size"):
        adapters.from_diffusers(small_unet(sample_size=None), scheduler_of("epsilon"))
    with pytest.raises(InputError, match="classes by timestep"):
        adapters.from_diffusers(small_unet(class_embed_type="timestep"), scheduler_of("epsilon"))
    text = small_unet()
    text.register_to_config(cross_attention_dim=8)
    with pytest.raises(InputError, match="cross_attention_dim"):
        adapters.from_diffusers(text, scheduler_of("epsilon"))
    geometric = diffusers.EulerDiscreteScheduler(interpolation_type="log_linear")
    with pytest.raises(InputError, match="where no step is"):
        adapters.to_diffusers(Ideal().fit(images()), geometric)
    for name in ("CMStochasticIterativeScheduler", "ScoreSdeVeScheduler"):
        with pytest.raises(InputError, match="alphas_cumprod"):
            adapters.from_diffusers(small_unet(), getattr(diffusers, name)())
    with pytest.raises(InputError, match="zero terminal signal"):
        adapters.sigmas_of(
            scheduler_of("v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"),
            10,
        )
    with pytest.raises(InputError, match="null must be one of"):
        adapters.from_diffusers(small_unet(num_class_embeds=3), scheduler_of("epsilon"), null=3)


def test_a_label_that_stands_for_none_in_a_network_of_the_library():
    unet, scheduler = small_unet(num_class_embeds=4), scheduler_of("sample")
    denoiser = adapters.from_diffusers(unet, scheduler, null=3)
    sigma = noise.sigma_of(scheduler.alphas_cumprod)[300].item()
    y = seeds.normal(range(2), (1, 8, 8))
    assert denoiser.classes == (0, 1, 2)
    z = y / (1 + sigma**2) ** 0.5
    with torch.no_grad():
        wanted = unet(z, 300, class_labels=torch.tensor([3, 3])).sample
    torch.testing.assert_close(denoiser(y, sigma), wanted, rtol=1e-4, atol=1e-4)


def test_a_transformer_of_the_library():
    torch.manual_seed(0)
    dit = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=1, out_channels=2, num_layers=1,
        sample_size=8, patch_size=4, num_embeds_ada_norm=3, norm_num_groups=1,
    ).eval()  # fmt: skip
    scheduler = scheduler_of("sample")
    denoiser = adapters.from_diffusers(dit, scheduler)
    sigma = noise.sigma_of(scheduler.alphas_cumprod)[300].item()
    y, labels = seeds.normal(range(2), (1, 8, 8)), torch.tensor([2, 3])
    with torch.no_grad():
        wanted = dit(y / (1 + sigma**2) ** 0.5, torch.tensor([300, 300]), labels).sample[:, :1]
    assert denoiser.classes == (0, 1, 2)
    got = denoiser(y[:1], sigma, labels[:1])
    torch.testing.assert_close(got, wanted[:1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(denoiser(y[1:], sigma), wanted[1:], rtol=1e-4, atol=1e-4)


# ---- schedulers of every class
# ------------------------------------------------------------------------------


# every scheduler of the library
SCHEDULERS = [
    name
    for name in sorted(dir(diffusers))
    if ("Scheduler" in name or "Inverse" in name) and not name.startswith("Flax")
]
MORE = {
    "DPMSolverMultistepScheduler": [
        {"use_karras_sigmas": True},
        {"use_exponential_sigmas": True},
        {"final_sigmas_type": "sigma_min"},
        {"timestep_spacing": "leading"},
    ],
    "EulerDiscreteScheduler": [
        {"use_karras_sigmas": True},
        {"interpolation_type": "log_linear"},
        {"timestep_spacing": "trailing"},
        {"final_sigmas_type": "sigma_min"},
    ],
    "HeunDiscreteScheduler": [{"use_karras_sigmas": True}],
    "PNDMScheduler": [{"skip_prk_steps": True}],
    "DDIMScheduler": [{"set_alpha_to_one": False}, {"timestep_spacing": "trailing"}],
    "FlowMatchEulerDiscreteScheduler": [{"shift": 3.0}],
}


def made(name, settings):
    try:
        return getattr(diffusers, name)(**settings)
    except (TypeError, ImportError):
        return None  # it wants settings of its own, or another library


@torch.no_grad()
def added(scheduler, time, index):
    """The level at a step: what the scheduler itself adds to a black image, by what it leaves of a
    white one."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler = copy.deepcopy(scheduler)
        scheduler.set_begin_index(index)
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    if hasattr(scheduler, "scale_noise"):
        parts = scheduler.scale_noise(zero, time, one), scheduler.scale_noise(one, time, zero)
    else:
        parts = scheduler.add_noise(zero, one, time), scheduler.add_noise(one, zero, time)
    return float(parts[0]) / float(parts[1])


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_levels_are_those_the_scheduler_adds_or_it_is_refused(name):
    answered = 0
    for settings in [{}, *MORE.get(name, [])]:
        scheduler = made(name, settings)
        if scheduler is None:
            continue
        for steps in (7, 50):
            try:
                sigmas = adapters.sigmas_of(scheduler, steps)
            except InputError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017
                continue
            answered += 1
            scheduler.set_timesteps(steps)
            times = torch.as_tensor(scheduler.timesteps)
            own = [added(scheduler, times[i : i + 1], i) for i in range(len(times))]
            unique = [s for i, s in enumerate(own) if i == 0 or s != own[i - 1]]
            near = [min(abs(s - o) / max(s, 1e-6) for o in unique) for s in sigmas[:-1].tolist()]
            assert max(near) < 1e-4, (settings, steps)
            assert len(sigmas) in (len(unique), len(unique) + 1), (settings, steps)
            assert sigmas.diff().max() < 0
    wanted = {"DDIM", "DDPM", "PNDM", "EulerDiscrete", "HeunDiscrete", "DPMSolverMultistep", "LCM"}
    if name.removesuffix("Scheduler") in wanted | {"DEISMultistep", "UniPCMultistep", "TCD"}:
        assert answered


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_karras_sigmas": True}, {"timestep_spacing": "trailing"}],
    ids=["linear", "levels of Karras", "whole"],
)
def test_fractional_steps_take_the_trajectory_of_the_library(settings):
    """Euler of the library calls the network between whole steps; there and back."""
    unet, scheduler = small_unet(), diffusers.EulerDiscreteScheduler(**settings)
    sigmas, n = adapters.sigmas_of(scheduler, 7), seeds.normal(range(2), (1, 8, 8))
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler), n, sigmas)
    ideal = Ideal().fit(images())
    for network, expected in (
        (unet, ours),
        (adapters.to_diffusers(ideal, scheduler), sample.ddim(ideal, n, sigmas)),
    ):
        its = copy.deepcopy(scheduler)
        its.set_timesteps(7)
        x = n * its.sigmas[0]
        with torch.no_grad():
            for t in its.timesteps:
                x = its.step(network(its.scale_model_input(x, t), t).sample, t, x).prev_sample
        torch.testing.assert_close(expected, x, rtol=1e-3, atol=2e-3)


def test_flow_matching_of_the_library():
    unet, scheduler = small_unet(), diffusers.FlowMatchEulerDiscreteScheduler()
    denoiser = adapters.from_diffusers(unet, scheduler)
    x, n = seeds.normal(range(2), (1, 8, 8)), seeds.normal(range(2, 4), (1, 8, 8))
    t = scheduler.timesteps[400:401]
    z = scheduler.scale_noise(x, t, n)
    u = float(scheduler.sigmas[400])
    with torch.no_grad():
        velocity = unet(z, t).sample
    # a step of the library to u = 0 is the denoised image
    torch.testing.assert_close(
        denoiser(z / (1 - u), u / (1 - u)), z - u * velocity, rtol=1e-4, atol=1e-4
    )
    assert "velocity_to_noise" in repr(denoiser)
    with pytest.raises(InputError, match="infinite sigma"):
        adapters.sigmas_of(scheduler, 10)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_edm_of_the_library(kind):
    unet, scheduler = small_unet(), diffusers.EDMEulerScheduler(prediction_type=kind)
    denoiser, sigmas = adapters.from_diffusers(unet, scheduler), adapters.sigmas_of(scheduler, 6)
    scheduler.set_timesteps(6)
    x = seeds.normal(range(2), (1, 8, 8)) * scheduler.sigmas[0]
    ours = sample.ddim(denoiser, seeds.normal(range(2), (1, 8, 8)), sigmas)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-3)
