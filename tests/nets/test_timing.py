"""What a step takes and which precision is faster: kept, chosen once, recorded in the denoiser."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from archbias import cli, families, seeds
from archbias.data import ImageSet
from archbias.denoise import Runtime
from archbias.errors import InputError
from archbias.nets import timing, train
from archbias.nets.mlp import MLP
from archbias.nets.network import build, fit_replicates
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet

SHAPE = (1, 8, 8)


def images():
    x = seeds.normal(range(8), SHAPE).tanh()
    return ImageSet.from_array(x, labels=torch.arange(8) % 2)


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No timing known yet, and a folder of this test's own."""
    monkeypatch.setattr(timing, "_known", {})
    monkeypatch.setattr(timing, "_busy", set())
    monkeypatch.setenv("ARCHBIAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("spec", "classes"),
    [
        (ResNet(depth=3, width=4, train=Train(batch=4)), 0),
        (UNet(levels=1, channels=2, conditioning="blind", predicts="noise"), 0),
        (UNet(levels=1, channels=2, class_labels=True, train=Train(batch=4)), 2),
        (MLP(width=8, depth=2, train=Train(batch=4)), 0),
        (UNet.published(channels=2, levels=1), 0),
    ],
    ids=["told", "blind", "labels", "mlp", "per level"],
)
def test_every_kind_of_network_is_timed(alone, spec, classes):
    one = timing.step_seconds(spec, SHAPE, classes=classes)
    assert 0 < one < 60
    whole = timing.training_seconds(spec, SHAPE, classes=classes)
    assert whole == pytest.approx(len(spec.sigmas()) * spec.train.steps * one)


def test_a_timing_is_kept_for_the_machine_and_the_network(alone, monkeypatch):
    spec, calls = ResNet(depth=2, width=2, train=Train(batch=2)), []
    monkeypatch.setattr(timing, "_timed", lambda *a: calls.append(a) or (0.25, True))
    assert timing.step_seconds(spec, SHAPE) == 0.25
    timing._known.clear()  # another process
    assert timing.step_seconds(replace(spec, train=Train(batch=2, steps=9, seed=4)), SHAPE) == 0.25
    assert len(calls) == 1
    timing.step_seconds(replace(spec, width=3), SHAPE)
    assert len(calls) == 2
    assert len(json.loads((alone / "timings.json").read_text(encoding="utf-8"))) == 2
    monkeypatch.setattr(timing, "machine", lambda device: "another")
    timing.step_seconds(spec, SHAPE)
    assert len(calls) == 3


def test_doctor_tells_the_precision_that_was_timed_and_trains_only_when_asked(
    alone, monkeypatch, capsys
):
    seconds, calls = {"float32": 0.25, "bf16": 0.125}, []
    monkeypatch.setattr(
        timing, "_timed", lambda spec, *a: calls.append(a) or (seconds[spec.train.precision], True)
    )
    assert cli.main(["doctor"]) == 0
    assert "`archbias doctor --time`" in capsys.readouterr().out
    assert calls == []
    assert cli.main(["doctor", "--time"]) == 0
    timed = capsys.readouterr().out
    assert "bf16 trains faster here" in timed
    assert "float32 250 ms, bf16 125 ms" in timed
    timing._known.clear()  # another process
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == timed
    assert len(calls) == 2


def test_doctor_imports_no_package_to_ask_for_its_version(alone):
    script = (
        "import sys; from archbias import cli; cli.main(['doctor']); "
        "print({'sklearn', 'scipy', 'numba', 'diffusers', 'xarray', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_timing_older_than_a_day_is_taken_again(alone, monkeypatch):
    spec, found, now = ResNet(depth=2, width=2, train=Train(batch=2)), [0.75, 0.25], [1e9]
    monkeypatch.setattr(timing, "_timed", lambda *a: (found.pop(0), True))
    monkeypatch.setattr(timing.time, "time", lambda: now[0])
    for after, seconds in ((0.0, 0.75), (timing.DAY - 1, 0.75), (timing.DAY + 1, 0.25)):
        now[0] = 1e9 + after
        timing._known.clear()  # another process
        assert timing.step_seconds(spec, SHAPE) == seconds
    assert len(json.loads((alone / "timings.json").read_text(encoding="utf-8"))) == 1


def test_a_timing_of_a_busy_machine_is_told_and_not_remembered(
    alone, monkeypatch, capsys, tmp_path
):
    """Its process had half of its threads' time while the clock ran on."""
    clock = {"wall": 0.0, "process": 0.0}
    threads = torch.get_num_threads()

    def ticking(share):
        def perf_counter():
            clock["wall"] += 1.0
            clock["process"] += share * threads / 2  # begun and ended: two ticks a second
            return clock["wall"]

        monkeypatch.setattr(timing.time, "perf_counter", perf_counter)
        monkeypatch.setattr(timing.time, "process_time", lambda: clock["process"])

    spec = UNet(channels=2, levels=1, train=Train(batch=2))
    ticking(0.5)
    assert timing.step_seconds(spec, SHAPE) == 1.0
    assert timing.was_busy()
    assert json.loads((alone / "timings.json").read_text(encoding="utf-8")) == {}
    run = ["run", "studies/unet_variants", "--preset", "toy", "--dry-run", "--out", str(tmp_path)]
    assert cli.main(run) == 0
    assert "timed while other work ran" in capsys.readouterr().out
    timing._known.clear()  # another process, on a calm machine
    timing._busy.clear()
    ticking(0.9)
    assert timing.step_seconds(spec, SHAPE) == 1.0
    assert not timing.was_busy()
    assert len(json.loads((alone / "timings.json").read_text(encoding="utf-8"))) == 1


@pytest.mark.parametrize("found", ["{", "[1]", '{"a": "b"}', '{"a": null}', '{"a": 0.5}'])
def test_a_damaged_record_or_no_place_for_one_is_no_obstacle(alone, monkeypatch, found):
    alone.mkdir()
    (alone / "timings.json").write_text(found, encoding="utf-8")
    monkeypatch.setattr(timing, "_timed", lambda *a: (0.25, True))
    assert timing.step_seconds(ResNet(depth=2, width=2), SHAPE) == 0.25
    timing._known.clear()
    (alone / "a file").touch()
    monkeypatch.setenv("ARCHBIAS_CACHE", str(alone / "a file"))
    assert timing.step_seconds(ResNet(depth=2, width=2), SHAPE) == 0.25


def timed(monkeypatch, **seconds):
    monkeypatch.setattr(timing, "_known", {})
    monkeypatch.setattr(timing, "_keep", lambda: None)
    monkeypatch.setattr(timing, "_timed", lambda spec, *a: (seconds[spec.train.precision], True))


def test_bf16_is_chosen_only_where_it_is_clearly_faster(alone, monkeypatch):
    spec = ResNet(depth=2, width=2)
    for bf16, choice in ((0.5, "bf16"), (0.95, "float32"), (7.0, "float32")):
        timed(monkeypatch, float32=1.0, bf16=bf16)
        found = timing.faster_precision(spec, SHAPE)
        assert found == (choice, {"float32": 1.0, "bf16": bf16})


def test_the_choice_stands_in_what_was_fitted_and_a_resumed_training_keeps_it(
    alone, monkeypatch, tmp_path
):
    spec = ResNet(depth=3, width=4, train=Train(steps=4, batch=4, precision="auto"))
    runtime = Runtime(checkpoint=tmp_path / "checkpoints")
    timed(monkeypatch, float32=1.0, bf16=0.1)
    first = spec.fit(images(), runtime=runtime)
    assert first.spec.train == replace(spec.train, precision="bf16")
    families.save(first, tmp_path / "kept.safetensors")
    assert families.load(tmp_path / "kept.safetensors").spec == first.spec
    again = replace(spec, train=first.spec.train).fit(images())
    timed(monkeypatch, float32=1.0, bf16=9.0)  # resumed on a machine where the other is faster
    resumed = spec.fit(images(), runtime=runtime)
    for other in (again, resumed):
        assert other.spec == first.spec
        assert all(torch.equal(v, first.state()[k]) for k, v in other.state().items())
    assert spec.fit(images()).spec.train.precision == "float32"
    (file,) = (tmp_path / "checkpoints").glob("precision-*.json")
    file.write_text("damaged", encoding="utf-8")
    assert spec.fit(images(), runtime=runtime).spec.train.precision == "float32"


def test_replicates_share_one_choice(alone, monkeypatch):
    spec = ResNet(depth=2, width=2, train=Train(steps=2, batch=2, precision="auto"))
    timed(monkeypatch, float32=1.0, bf16=0.1)
    made = fit_replicates(spec, images(), [0, 1])
    assert [d.spec.train.precision for d in made] == ["bf16", "bf16"]


def test_the_loop_itself_wants_a_precision():
    spec = ResNet(depth=2, width=2, train=Train(steps=2, batch=2, precision="auto"))
    taken = train.steps([build(spec, SHAPE, 0, 0)], lambda m, b: b.x.mean(), images(), spec.train)
    with pytest.raises(InputError, match="settle it with"):
        next(taken)


def test_the_machine_is_named():
    assert f"torch {torch.__version__}" in timing.machine()
    assert "threads" in timing.machine()
