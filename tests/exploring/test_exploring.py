"""Beliefs along a way by brute force, scenes that carry them, and the script in a real browser."""

import base64
import io
import json
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from made_up_store import tree
from PIL import Image

import archbias
from archbias import exploring, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.exploring import widget
from archbias.plots.grid import picture

H, W, N = 4, 5, 6
HOSTILE = "<img src=x onerror='window.broken=1'>"


@pytest.fixture(scope="module")
def images():
    x = np.random.default_rng(0).uniform(-1, 1, (N, 1, H, W))
    return ImageSet.from_array((x + np.roll(x, 1, 3)).clip(-1, 1).astype("f4"))


def machine(name, images):
    settings = {"ls": {"window": 3}, "els": {"window": 3}, "bbels": {"window": 3}, "ideal": {}}
    settings |= {"masked": {"mask": "energy", "share": 0.6, "shared": True}}
    return archbias.FAMILIES[name](**settings[name]).fit(images)


def brute(name, fitted, phi, y, sigma):
    """{(image, row, column): weight} of every pixel, by loops in float64."""
    found = {}
    for p in np.ndindex(H, W):
        logs = {}
        for i, q in ((i, q) for i in range(N) for q in np.ndindex(H, W)):
            gap = distance(name, fitted, phi[i], y, p, q, sigma)
            if gap is not None:
                logs[i, *q] = -gap / (2 * sigma**2)
        top = max(logs.values())
        total = sum(np.exp(v - top) for v in logs.values())
        found[p] = {k: np.exp(v - top) / total for k, v in logs.items()}
    return found


def distance(name, fitted, phi, y, p, q, sigma):
    """Squared distance of the windows of p and q; None where p does not listen to q."""
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    if name in ("ls", "ideal", "masked") and p != q:
        return None
    if name == "ideal":
        return np.square(y - phi).sum()
    if name == "masked":
        seen = fitted.mask(sigma).numpy()[p[0] * W + p[1]].reshape(H, W)
        return (seen * np.square(y - phi)).sum()
    if name == "els":
        return sum(
            (y[(p[0] + a) % H, (p[1] + b) % W] - phi[(q[0] + a) % H, (q[1] + b) % W]) ** 2
            for a, b in offsets
        )

    def inside(r, c):
        return 0 <= r < H and 0 <= c < W

    mine, theirs = ([inside(v[0] + a, v[1] + b) for a, b in offsets] for v in (p, q))
    if mine != theirs:
        return None
    return sum(
        (y[p[0] + a, p[1] + b] - phi[q[0] + a, q[1] + b]) ** 2
        for (a, b), here in zip(offsets, mine, strict=True)
        if here
    )


@pytest.mark.parametrize("name", ["ls", "els", "bbels", "ideal", "masked"])
def test_beliefs_along_a_way_by_brute_force(name, images):
    fitted = machine(name, images)
    found = exploring.ways(fitted, seeds=(3,), steps=3, top=4)
    phi, sigmas = images.images.double().numpy()[:, 0], found["sigma"].values
    start = seeds.normal([3], images.shape).numpy()[0]
    np.testing.assert_allclose(found["noisy"][0, 0], sigmas[0] * start, rtol=1e-6)
    for t, sigma in enumerate(sigmas):
        one = found.isel(seed=0, sigma=t)
        y = one["noisy"].values[0].astype(float)
        for p, weights in brute(name, fitted, phi, y, sigma).items():
            at = {"row": p[0], "column": p[1]}
            w = np.array(list(weights.values()))
            belief = -(w[w > 0] * np.log(w[w > 0])).sum()
            assert float(one["entropy"].isel(at)) == pytest.approx(belief, abs=1e-7)
            best = sorted(weights.values())[::-1][:4]
            np.testing.assert_allclose(one["weight"].isel(at), best, atol=1e-7)
            for k in range(4):
                keys = ("image", "source_row", "source_column")
                named = tuple(int(one[v].isel(at)[k]) for v in keys)
                assert weights[named] == pytest.approx(best[k], abs=1e-7)
            mean = sum(w * phi[k] for k, w in weights.items())
            assert float(one["estimate"][0].isel(at)) == pytest.approx(mean, abs=1e-5)
        if t + 1 < len(sigmas):
            d = one["estimate"].values
            after = d + sigmas[t + 1] / sigma * (one["noisy"].values - d)
            np.testing.assert_allclose(found["noisy"][0, t + 1], after, rtol=1e-5, atol=1e-5)


def test_what_a_pixel_sees(images):
    seen = exploring.ways(machine("ls", images), steps=2)["seen"].values
    assert seen.shape == (1, H * W, H * W)
    assert seen[0, 0].reshape(H, W).sum() == 4
    assert seen[0, W + 1].reshape(H, W)[:3, :3].all()
    assert seen[0, W + 1].sum() == 9
    round_ = exploring.ways(machine("els", images), steps=2)
    assert round_["seen"].values[0, 0].reshape(H, W)[-1, -1]
    assert bool(round_["wraps"])
    assert exploring.ways(machine("ideal", images), steps=2)["seen"].values.all()


def test_a_network_leads_its_own_way(images):
    network = archbias.FAMILIES["linear"]().fit(images)
    found = exploring.ways(machine("ls", images), network=network, steps=4)
    sigmas = archbias.noise.cosine(4)
    start = seeds.normal([0], images.shape)
    path = archbias.sample.ddim(network, start, sigmas, path=True)
    np.testing.assert_allclose(found["noisy"][0], path[:4, 0], rtol=1e-5, atol=1e-6)
    wanted = network(path[2], float(sigmas[2]))[0]
    np.testing.assert_allclose(found["network"][0, 2], wanted, atol=1e-6)
    assert [p["label"] for p in exploring.of_ways(found)["panels"]][2] == "Network"


def pixels(sheet, tile):
    data = base64.b64decode(sheet["src"].split(",")[1])
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    top, left = tile // sheet["columns"] * H, tile % sheet["columns"] * W
    return whole[top : top + H, left : left + W]


def test_a_scene_carries_the_numbers(images):
    found = exploring.ways(machine("els", images), seeds=(0, 1), steps=3, top=4)
    scene = json.loads(json.dumps(exploring.of_ways(found)))
    belief = scene["belief"]

    def read(name, kind):
        return np.frombuffer(base64.b64decode(belief[name]), kind)

    entropy = read("entropy", "<f4").reshape(2, 3, H, W)
    np.testing.assert_allclose(entropy, found["entropy"], rtol=1e-6)
    weight = read("weight", "<f4").reshape(2, 3, H, W, 4)
    np.testing.assert_allclose(weight, np.moveaxis(found["weight"].values, 2, -1), rtol=1e-6)
    tile = read("tile", "<u4").reshape(weight.shape)[1, 2, 3, 1, 0]
    image = int(found["image"][1, 2, 0, 3, 1])
    assert belief["names"][tile] == str(image)
    shown = np.round(255 * picture(images.images[image].numpy()))
    assert np.array_equal(pixels(belief["training"], tile), shown)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(belief["views"][0]), "u1"),
                         bitorder="little")  # fmt: skip
    seen = found["seen"].values[0]
    assert np.array_equal(bits[: seen.size].reshape(seen.shape), seen)
    frame = scene["frames"][1 * 3 + 2]
    estimate = np.round(255 * picture(found["estimate"][1, 2].values))
    assert np.array_equal(pixels(scene["tiles"], frame[1]), estimate)


def test_a_stores_scene_says_r_and_whether_it_copies():
    store = tree()
    xs = store["samples"]["sample"]
    store["predictions"] = xr.Dataset(
        {"prediction": xs.isel(family=0, drop=True).expand_dims(predictor=["theory"])}
    )
    scene = exploring.of_store(store)
    assert scene["steps"]["values"] == ["theory"]
    assert [len(c["values"]) for c in scene["choices"]] == [4, 8]
    x, p = (xs.sel(family=f, seed=2).values.ravel() for f in ("unet", "ideal"))
    words = scene["words"][3 * 8 + 2]
    assert words[1] == f"theory: r {np.corrcoef(x, p)[0, 1]:.2f}"
    assert words[3] == f"root mean square {np.sqrt(np.square(x - p).mean()):.2f}"
    assert words[2] == "the sample is new"
    assert scene["words"][2][2] == "the sample is a copy"
    assert [s["title"] for s in exploring.scenes(store)] == [scene["title"]]
    groups = {f"set {k}/{g}": store[g].to_dataset() for k in "ab"
              for g in ("samples", "predictions")}  # fmt: skip
    crossed = exploring.of_store(xr.DataTree.from_dict(groups), seeds=[1])
    assert crossed["choices"][0]["values"] == ["set a", "set b"]
    assert len(crossed["frames"]) == 2 * 4


def test_what_cannot_be_explored_is_said(images, tmp_path, monkeypatch):
    linear = archbias.FAMILIES["linear"]().fit(images)
    with pytest.raises(InputError, match="network="):
        archbias.explore(linear)
    with pytest.raises(InputError, match="an export has no pictures"):
        archbias.explore(xr.DataTree.from_dict({"agreement": tree()["agreement"].to_dataset()}))
    with pytest.raises(InputError, match="fitted machine"):
        archbias.explore(3)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    widget.kind.cache_clear()
    with pytest.raises(InputError, match=r'pip install "archbias\[notebook\]"'):
        archbias.explore(tree())
    assert archbias.explore(tree(), path=tmp_path / "a.html").read_text().startswith("<!doctype")


def test_widget_keeps_its_place_inside(images):
    pytest.importorskip("anywidget", reason="install archbias[notebook] for the widget")
    traitlets = pytest.importorskip("traitlets", reason="it comes with anywidget")
    widget.kind.cache_clear()
    shown = archbias.explore(machine("ls", images), steps=3, seeds=(0, 4))
    assert shown.scene["choices"] == [{"name": "seed", "values": ["0", "4"]}]
    shown.pixel, shown.step, shown.choice = [99, 2], 99, [1]
    assert (shown.pixel, shown.step, shown.choice) == ([H - 1, 2], 2, [1])
    with pytest.raises(traitlets.TraitError):
        shown.choice = [0, 0]
    state = shown.get_state()
    assert {"scene", "pixel", "step", "choice", "_esm"} <= state.keys()
    assert "export default" in state["_esm"]


SLIDE = (
    "const s = document.querySelector('input'); s.value = arguments[0];"
    "s.dispatchEvent(new Event('input'))"
)
HARNESS = """
window.saves = 0; window.heard = {}; window.values = JSON.parse(document.body.dataset.stub);
window.model = {
  get: (n) => values[n], on: (n, f) => { (heard[n] ||= []).push(f); },
  set: (n, v) => { values[n] = v; (heard["change:" + n] || []).forEach((f) => f()); },
  save_changes: () => { saves += 1; },
};
render({ model, el: document.body });
"""


@pytest.fixture(scope="module")
def scene(images):
    return exploring.of_ways(exploring.ways(machine("ls", images), seeds=(0, 1), steps=4))


def opened(browser, text, path, width=1100):
    path.write_text(text, encoding="utf-8")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    ready = (
        "const done = arguments[0]; const look = () => document.querySelector('[data-ready]')"
        " ? done(true) : setTimeout(look, 20); look();"
    )
    browser.set_script_timeout(30)
    assert browser.execute_async_script(ready)
    return browser


def drawn(browser):
    """Every canvas as text, and the sentence."""
    look = "return Array.from(document.querySelectorAll('canvas'), c => c.toDataURL())"
    return browser.execute_script(look)


def status(browser):
    return browser.execute_script("return document.querySelector('[role=status]').innerText")


def test_browser_by_keyboard_and_mouse(browser, scene, tmp_path):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    opened(browser, exploring.page(scene), tmp_path / "page.html")
    body, focus = browser.find_element("tag name", "body"), "return document.activeElement.tagName"
    begun = drawn(browser)
    assert len(begun) == 3 + 5
    reached = []
    for _ in range(3):  # seed, slider, picture, in this order
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.append(browser.execute_script(focus))
    assert reached == ["SELECT", "INPUT", "DIV"]
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    start = scene["start"]
    ActionChains(browser).send_keys(Keys.ARROW_DOWN).perform()
    assert status(browser).startswith(f"Pixel in row {start['row'] + 1}, column {start['column']}")
    moved = drawn(browser)
    assert all(a != b for a, b in zip(begun[:1] + begun[-2:], moved[:1] + moved[-2:], strict=True))
    for _ in range(9):
        ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    assert f"row {start['row'] + 1}, column 0 " in status(browser)
    before = drawn(browser)
    turn = Keys.PAGE_UP if start["step"] else Keys.PAGE_DOWN
    ActionChains(browser).send_keys(turn).perform()
    step = start["step"] + (-1 if start["step"] else 1)
    assert f"σ {scene['steps']['values'][step]}:" in status(browser)
    assert drawn(browser)[0] != before[0]
    frame = browser.find_element("css selector", ".ax-frame canvas")
    size = frame.size
    ActionChains(browser).move_to_element_with_offset(
        frame, int(size["width"] * (3.5 / W - 0.5)), int(size["height"] * (0.5 / H - 0.5))
    ).click().perform()
    assert status(browser).startswith("Pixel in row 0, column 3 ")
    assert body.size["width"] <= 1100
    assert browser.get_log("browser") == []


def test_browser_says_the_numbers_of_the_belief(browser, images, scene, tmp_path):
    opened(browser, exploring.page(scene), tmp_path / "page.html")
    found = exploring.ways(machine("ls", images), seeds=(0, 1), steps=4)
    start = scene["start"]
    one = found.isel(seed=0, sigma=start["step"], row=start["row"], column=start["column"])
    assert f"entropy {float(one['entropy']):.2f} nats" in status(browser)
    words = browser.execute_script(
        "return Array.from(document.querySelectorAll('.ax-words'), e => e.innerText)"
    )
    share, image = float(one["weight"][0]), int(one["image"][0])
    assert words[0] == f"{100 * share:.{0 if share >= 0.0995 else 1}f} %, image {image}"


def test_widget_script_follows_its_model(browser, scene, tmp_path):
    """As in JupyterLab: values set in Python are drawn, those set here are saved."""
    start = scene["start"]
    stub = {"scene": scene, "choice": [0], "step": start["step"], "pixel": [1, 1]}
    script = exploring.sources()[0].split("// Every element")[0] + HARNESS
    data = json.dumps(stub).replace("&", "&amp;").replace("'", "&#39;")
    text = f"<body data-stub='{data}'></body><script type='module'>{script}</script>"
    opened(browser, "<!doctype html><meta charset=utf-8>" + text, tmp_path / "stub.html")
    first = drawn(browser)
    browser.execute_script("model.set('pixel', [2, 3])")
    assert status(browser).startswith("Pixel in row 2, column 3 ")
    second = drawn(browser)
    assert second[0] != first[0]
    browser.execute_script("model.set('choice', [1])")
    assert drawn(browser)[0] != second[0]
    assert browser.execute_script("return saves") == 0
    browser.execute_script(SLIDE, 0)
    assert browser.execute_script("return [saves, values.step]") == [1, 0]
    assert browser.get_log("browser") == []


def test_browser_shows_hostile_names_as_text_on_a_phone(browser, tmp_path):
    store = tree(families=(HOSTILE, "</script><script>window.broken=1</script>", 'a" onclick="x'))
    path = tmp_path / "store.html"
    scene = exploring.of_store(store)
    opened(browser, exploring.page(scene), path, width=360)
    shown = "return [window.broken === undefined, document.images.length, innerWidth,"
    shown += " document.documentElement.scrollWidth, document.querySelector('option').innerText]"
    assert browser.execute_script(shown) == [True, 1, 360, 360, HOSTILE]
    before = drawn(browser)
    browser.execute_script(SLIDE, 1 - scene["start"]["step"])
    assert drawn(browser)[1] != before[1]
    assert browser.get_log("browser") == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_tensors_stay_what_they_were(images):
    """Looking changes nothing of the machine."""
    fitted = machine("els", images)
    y = torch.zeros(1, *images.shape)
    before = fitted(y, 0.4)
    exploring.ways(fitted, steps=2)
    assert torch.equal(fitted(y, 0.4), before)
