"""The training loop: against a loop written out in plain PyTorch, under kill -9, stacked, and when
it diverges.
"""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from archbias import seeds
from archbias.data import ImageSet
from archbias.denoise import Runtime
from archbias.errors import InputError
from archbias.nets import train
from archbias.nets.mlp import MLP
from archbias.nets.network import build, fit_replicates
from archbias.nets.resnet import ResNet
from archbias.nets.scaling import loss_of
from archbias.nets.shallow import Shallow
from archbias.nets.train import Batches, Diverged, Train
from archbias.nets.unet import UNet


def images(n=24, shape=(1, 8, 8), labels=False) -> ImageSet:
    x = seeds.normal(range(n), shape).tanh()
    return ImageSet.from_array(x, labels=torch.arange(n) % 3 if labels else None)


def state(module) -> dict:
    return {k: v.clone() for k, v in module.state_dict().items()}


def run(spec, data, runtime=Runtime(), **more):
    net = build(spec, data.shape, 0, spec.train.seed)
    list(
        train.steps(
            [net], loss_of(spec, torch.tensor(0.5)), data, spec.train, runtime=runtime, **more
        )
    )
    return net


@pytest.mark.parametrize(
    ("optimizer", "schedule", "ema", "clip"),
    [
        ("adam", "exponential", 0.0, 0.0),
        ("adamw", "cosine", 0.9, 0.05),
        ("adam", "constant", 0.99, 1.0),
    ],
)
def test_steps_are_those_of_a_loop_written_out(optimizer, schedule, ema, clip):
    data = images()
    settings = Train(
        steps=12, batch=7, optimizer=optimizer, weight_decay=0.1 if optimizer == "adamw" else 0.0,
        schedule=schedule, decay=0.9,
        warmup=3, ema=ema, clip=clip, learning_rate=1e-2,
    )  # fmt: skip
    spec = ResNet(depth=3, width=4, train=settings)
    got = run(spec, data)

    net = build(spec, data.shape, 0, 0).train()
    draw = Batches(data, settings, 0, None, False, "cpu")
    kind = torch.optim.Adam if optimizer == "adam" else torch.optim.AdamW
    opt = kind(
        net.parameters(), lr=1.0, weight_decay=settings.weight_decay, foreach=False, fused=False
    )
    mean = [p.detach().clone() for p in net.parameters()]
    for t in range(12):
        lr = 1e-2 * min(1.0, (t + 1) / 4)
        lr *= {
            "exponential": 0.9**t,
            "cosine": 0.5 * (1 + math.cos(math.pi * t / 12)),
            "constant": 1.0,
        }[schedule]
        opt.param_groups[0]["lr"] = lr
        b = draw(t)
        s, sd = b.sigma.reshape(-1, 1, 1, 1), 0.5
        y = b.x + s * b.noise
        total = (s**2 + sd**2).sqrt()
        target = (b.x - sd**2 / total**2 * y) / (s * sd / total)
        opt.zero_grad()
        (net(y / total, b.sigma.log() / 4, None) - target).square().mean().backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        opt.step()
        beta = min(ema, (1 + t) / (10 + t))
        mean = [
            beta * m + (1 - beta) * p.detach() for m, p in zip(mean, net.parameters(), strict=True)
        ]
    for a, b in zip(got.parameters(), mean, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-5)


def test_a_batch_is_a_function_of_seed_and_step_and_an_epoch_holds_every_image_once():
    data = images(10)
    settings = Train(batch=4)
    draw, again = (Batches(data, settings, 3, None, False, "cpu") for _ in range(2))
    forward = [draw(t) for t in range(5)]
    backward = [again(t) for t in reversed(range(5))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.noise, b.noise)
        assert torch.equal(a.sigma, b.sigma)
    seen = torch.cat([b.x for b in forward])
    which = (seen[:, None] - data.images).flatten(2).abs().sum(2).argmin(1)
    for epoch in which.split(10):
        assert sorted(epoch.tolist()) == list(range(10))
    other = Batches(data, settings, 4, None, False, "cpu")(0)
    assert not torch.equal(other.noise, forward[0].noise)
    larger = Batches(data, Train(batch=33), 3, None, False, "cpu")(1)
    assert larger.x.shape == (33, 1, 8, 8)


@pytest.mark.parametrize("law", sorted(train.LAWS))
def test_noise_levels_follow_their_law(law):
    """Kolmogorov-Smirnov distance below its 99.9% point, against the distribution function written
    out.
    """
    settings = Train(batch=50, noise=law)
    draw = Batches(images(50), settings, 0, None, False, "cpu")
    sigma = torch.cat([draw(t).sigma for t in range(40)]).double().sort().values
    cdf = {
        "cosine": lambda s: torch.atan(s) * 2 / math.pi * 1.008,
        "lognormal": lambda s: torch.special.ndtr((s.log() + 1.2) / 1.2),
        "loguniform": lambda s: (s.log() - math.log(0.01)) / (math.log(80) - math.log(0.01)),
    }[law](sigma)
    n = len(sigma)
    assert (cdf - (torch.arange(n) + 0.5) / n).abs().max() < 1.95 / math.sqrt(n)


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {here!r})
from pathlib import Path
from archbias import train
train.steps.__kwdefaults__["every"] = 0.0 if sys.argv[2] == "killed" else 10.0
from archbias.denoise import Runtime
from archbias.families import save
from test_train import images
from archbias.nets.unet import UNet
from archbias.nets.train import Train
spec = UNet(levels=1, channels=4, normalisation="batch", train=Train(steps=60, batch=8))
d = spec.fit(images(), runtime=Runtime(checkpoint=Path(sys.argv[1])))
from safetensors.torch import save_file
save_file({{k: v.contiguous() for k, v in d.state().items()}}, sys.argv[1] + "/" + sys.argv[2])
"""


@pytest.mark.slow
def test_killed_and_resumed_ends_with_the_same_bits(tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parent)}

    def start(folder, name):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", SCRIPT.format(here=str(here)), str(folder), name]
        return subprocess.Popen(command, env=environment)

    whole = start(tmp_path / "a", "whole")
    killed = start(tmp_path / "b", "killed")
    while not list((tmp_path / "b").glob("unet0-*.safetensors")):
        assert killed.poll() is None
        time.sleep(0.002)
    time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if not (tmp_path / "b" / "killed").exists():
        assert start(tmp_path / "b", "killed").wait() == 0
    assert whole.wait() == 0
    a, b = load_file(tmp_path / "a" / "whole"), load_file(tmp_path / "b" / "killed")
    assert a.keys() == b.keys()
    for k in a:
        assert torch.equal(a[k], b[k]), k


def test_every_name_of_training_opens_from_one_module():
    for name, file in train.ELSEWHERE.items():
        assert getattr(train, name) is getattr(import_module(f"archbias.nets.{file}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = train.nothing


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_one_error_and_leaves_the_one_before(
    tmp_path,
):
    resource = pytest.importorskip("resource", reason="limits on the size of files are of POSIX")
    spec, data = ResNet(depth=3, width=4, train=Train(steps=2, batch=8)), images()
    net = build(spec, data.shape, 0, 0)
    taken = train.steps(
        [net],
        loss_of(spec, torch.tensor(0.5)),
        data,
        spec.train,
        runtime=Runtime(checkpoint=tmp_path),
        every=0.0,
    )
    next(taken)
    (file,) = tmp_path.iterdir()
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"."):
            next(taken)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_resumes_from_any_checkpoint_with_the_same_bits(tmp_path, optimizer, count):
    """Stopped after step 13 of 25 with one, and with two stacked networks."""
    data = images()
    spec = UNet(
        levels=1,
        channels=4,
        normalisation="batch",
        train=Train(steps=25, batch=8, optimizer=optimizer),
    )
    loss = loss_of(spec, torch.tensor(0.5))

    def go(runtime, stop=None):
        nets = [build(spec, data.shape, 0, s) for s in range(count)]
        taken = train.steps(
            nets, loss, data, spec.train, seed=list(range(count)), runtime=runtime, every=0.0
        )
        for i, _ in enumerate(taken):
            if i + 1 == stop:
                taken.close()
                break
        return [state(n) for n in nets]

    expected = go(Runtime())
    go(Runtime(checkpoint=tmp_path), stop=13)
    for a, b in zip(go(Runtime(checkpoint=tmp_path)), expected, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in b)
    done = go(Runtime(checkpoint=tmp_path))  # a finished training is not repeated
    assert all(torch.equal(done[0][k], expected[0][k]) for k in expected[0])


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_resumed(tmp_path):
    data = images()
    spec = ResNet(depth=3, width=4, train=Train(steps=5, batch=8))
    fresh = state(run(spec, data))
    other = ResNet(depth=3, width=4, train=Train(steps=5, batch=8, learning_rate=5e-3))
    run(other, data, Runtime(checkpoint=tmp_path))
    assert all(
        torch.equal(v, fresh[k])
        for k, v in state(run(spec, data, Runtime(checkpoint=tmp_path))).items()
    )
    for file in tmp_path.glob("training-*.safetensors"):
        file.write_bytes(b"half a file")
    assert all(
        torch.equal(v, fresh[k])
        for k, v in state(run(spec, data, Runtime(checkpoint=tmp_path))).items()
    )


@pytest.mark.parametrize(
    "other",
    [{"predicts": "noise"}, {"precondition": "vp"}, {"padding": "reflect"}],
    ids=["another target", "another scale", "another border"],
)
def test_a_checkpoint_of_another_spec_with_the_same_weights_is_not_resumed(tmp_path, other):
    data, spec = (
        images(),
        ResNet(depth=3, width=4, padding="circular", train=Train(steps=5, batch=8)),
    )
    fresh = spec.fit(data).state()
    replace(spec, **other).fit(data, runtime=Runtime(checkpoint=tmp_path))
    again = spec.fit(data, runtime=Runtime(checkpoint=tmp_path)).state()
    assert all(torch.equal(v, fresh[k]) for k, v in again.items())


def test_a_checkpoint_of_other_labels_is_not_resumed(tmp_path):
    data = images()
    data = replace(data, labels=torch.arange(len(data)) % 2)
    spec = ResNet(depth=3, width=4, class_labels=True, train=Train(steps=5, batch=8))
    fresh = spec.fit(data).state()
    spec.fit(replace(data, labels=1 - data.labels), runtime=Runtime(checkpoint=tmp_path))
    again = spec.fit(data, runtime=Runtime(checkpoint=tmp_path)).state()
    assert all(torch.equal(v, fresh[k]) for k, v in again.items())


def test_weights_the_output_does_not_depend_on_neither_stop_a_resumed_training_nor_a_stacked_one(
    tmp_path,
):
    """Two convolutions have no layer between them that could be told the level: its embedding gets
    no gradient.
    """
    data, spec = images(), ResNet(depth=2, width=4, train=Train(steps=5, batch=8, clip=0.1))
    fresh = spec.fit(data, runtime=Runtime(checkpoint=tmp_path)).state()
    again = spec.fit(data, runtime=Runtime(checkpoint=tmp_path)).state()
    assert all(torch.equal(v, fresh[k]) for k, v in again.items())
    stacked = fit_replicates(spec, data, [0, 1], stack=True)[0].state()
    assert all(torch.allclose(stacked[k], v, atol=1e-5) for k, v in fresh.items())


@pytest.mark.parametrize(
    "spec",
    [
        MLP(width=16, depth=3, train=Train(steps=15, batch=8, learning_rate=1e-3, clip=0.01)),
        UNet(
            levels=1,
            channels=4,
            normalisation="batch",
            class_labels=True,
            train=Train(steps=15, batch=8),
        ),
        ResNet(
            depth=3,
            width=4,
            conditioning="per_level",
            noise_levels=3,
            train=Train(steps=10, batch=8, optimizer="adamw"),
        ),
    ],
    ids=["mlp", "unet with labels", "resnet per level"],
)
def test_networks_stacked_equal_networks_one_by_one(spec):
    data = images(labels=True)
    together = fit_replicates(spec, data, [0, 5], stack=True)
    for denoiser, seed in zip(together, (0, 5), strict=True):
        assert denoiser.spec.train.seed == seed
        alone = fit_replicates(spec, data, [seed], stack=False)[0].state()
        for k, v in denoiser.state().items():
            torch.testing.assert_close(
                v, alone[k], rtol=1e-3, atol=2e-4, msg=lambda m, k=k: f"{k}: {m}"
            )


@pytest.mark.parametrize(
    ("factor", "got"), [(math.nan, "nan"), (math.inf, "inf"), (1e4, r"[\d.e+]+")]
)
def test_divergence_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path, factor, got):
    data = images()
    spec = ResNet(depth=3, width=4, train=Train(steps=80, batch=8))
    good = loss_of(spec, torch.tensor(0.5))
    calls = []

    def loss(module, batch):
        calls.append(1)
        return good(module, batch) * (factor if len(calls) == 37 else 1.0)

    net = build(spec, data.shape, 0, 0)
    message = (
        rf"got {got} at step 37 \(the checkpoint of step 36 is kept in .*lower train.learning_rate"
    )
    with pytest.raises(Diverged, match=message):
        list(
            train.steps(
                [net], loss, data, spec.train, runtime=Runtime(checkpoint=tmp_path), every=0.0
            )
        )
    kept = load_file(next(tmp_path.glob("training-*.safetensors")))
    assert kept["losses"].shape == (36, 1)
    assert all(v.isfinite().all() for v in kept.values())


def test_progress_tells_images_per_second_and_ends_at_the_total():
    seen = []
    run(
        ResNet(depth=2, width=2, train=Train(steps=60, batch=4)),
        images(),
        Runtime(progress=lambda *a: seen.append(a)),
    )
    assert seen[-1][:2] == (60, 60)
    assert "images/s" in seen[-1][2]


def test_bf16_trains_close_to_float32():
    data = images()
    losses = []
    for precision in ("float32", "bf16"):
        spec = ResNet(depth=3, width=8, train=Train(steps=40, batch=16, precision=precision))
        losses.append(spec.fit(data).history["loss"])
    assert losses[1].isfinite().all()
    assert (losses[0] - losses[1]).abs().max() < 0.05 * losses[0].max()


def test_loss_per_noise_level_is_that_of_a_known_denoiser():
    """The zero denoiser errs by E|x|^2, at every level."""
    data = images(64)

    spec = MLP(width=2, depth=1, end="none", train=Train(steps=1, batch=4))
    denoiser = spec.fit(data)
    zero = spec.rebuild(
        {k: v * 0 if k.startswith("net.0.layers") else v for k, v in denoiser.state().items()}
    )
    error = train.losses(zero, data, torch.tensor([3.0, 0.5, 0.0]))
    torch.testing.assert_close(error, data.images.double().square().mean().expand(2))


def test_the_loss_curve_is_shortened_to_means():
    spec = ResNet(depth=2, width=2, train=Train(steps=1203, batch=1))
    taken = [train.Step(torch.arange(1203.0)[:, None].repeat(1, 2))]
    first, second = train.curves(iter(taken))
    assert len(first["loss"]) == len(first["step"]) <= 500
    assert first["step"][-1] == spec.train.steps
    assert float(first["loss"][0]) == 1.0  # the mean of 0, 1, 2
    assert torch.equal(first["loss"], second["loss"])


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0}, {"steps": 1.5}, {"batch": 0}, {"optimizer": "sgd"}, {"schedule": "step"},
        {"noise": "edm"}, {"seed": -1},
        {"learning_rate": 0.0}, {"learning_rate": math.nan}, {"ema": 1.0}, {"clip": -1.0},
        {"precision": "fp8"}, {"warmup": -1},
    ],
)  # fmt: skip
def test_bad_settings_say_what_to_do(settings):
    with pytest.raises(InputError, match=r"; "):
        Train(**settings)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None,
    reason="torch.compile needs a C++ compiler",
)
# of the compiler
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
def test_compiled_training_is_training():
    spec = ResNet(depth=3, width=4, train=Train(steps=20, batch=8))
    eager = spec.fit(images())
    compiled = replace(spec, train=replace(spec.train, compile=True)).fit(images())
    torch.testing.assert_close(
        compiled.history["loss"], eager.history["loss"], rtol=1e-3, atol=1e-4
    )
    y = 2 * seeds.normal(range(4), eager.shape)
    torch.testing.assert_close(compiled(y, 1.0), eager(y, 1.0), rtol=1e-3, atol=1e-3)


def test_fp16_wants_a_cuda_device():
    with pytest.raises(InputError, match="use 'bf16' or 'float32'"):
        ResNet(depth=2, width=2, train=Train(steps=1, precision="fp16")).fit(images())


def test_the_random_state_of_torch_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Shallow(noise_levels=2, train=Train(steps=2)).fit(images())
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.gpu
def test_trains_on_a_gpu_as_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    spec = ResNet(depth=3, width=8, train=Train(steps=300, batch=16))
    losses = [
        spec.fit(images(), runtime=Runtime(device=d)).history["error"] for d in ("cpu", "cuda")
    ]
    torch.testing.assert_close(losses[1], losses[0], rtol=0.15, atol=0.01)
