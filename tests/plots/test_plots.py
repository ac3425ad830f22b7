"""Figures: they show what the store says, leave no trace in matplotlib, and write the same bytes
twice.
"""

import itertools
import json
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from made_up_store import FAMILIES, SEEDS, SIZE, tree
from matplotlib.figure import Figure
from skimage.color import deltaE_ciede2000, rgb2lab

from archbias import plots
from archbias.errors import InputError
from archbias.metrics import compare
from archbias.plots import colors, crossed
from archbias.plots.intervals import band


@pytest.fixture(scope="module")
def store():
    return tree()


@pytest.fixture(autouse=True)
def no_trace():
    before, others = dict(mpl.rcParams), plt.get_fignums()  # of tests that ran before
    yield
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == others


def test_grid_shows_the_stored_pictures(store):
    figure = plots.family_grid(store, seeds=3)
    canvas = figure.axes[0].images[0].get_array()
    sample = store["samples"]["sample"]
    inner, outer, below = 1, 4, 2
    pair = 2 * SIZE + inner
    for i, j in itertools.product(range(3), range(len(FAMILIES))):
        top, left = i * (SIZE + below), j * (pair + outer)
        shown = canvas[top : top + SIZE, left : left + SIZE, 0]
        np.testing.assert_allclose(
            shown, np.clip((sample.values[j, i, 0] + 1) / 2, 0, 1), atol=1e-6
        )
        beside = canvas[top : top + SIZE, left + SIZE + inner : left + pair, 0]
        near = store["novelty"]["nearest_image"].values[j, i, 0]
        np.testing.assert_allclose(beside, np.clip((near + 1) / 2, 0, 1), atol=1e-6)
    assert len(figure.axes[0].patches) == 3  # the copies of 'ideal' and no others
    words = [t.get_text() for t in figure.axes[0].texts]
    assert words == [f"{SEEDS} of {SEEDS} copied"] + [f"0 of {SEEDS} copied"] * 3


def test_grid_without_neighbours_and_with_colour():
    coloured = tree(channels=3)
    del coloured["novelty"]
    canvas = plots.family_grid(coloured, seeds=2).axes[0].images[0].get_array()
    first = coloured["samples"]["sample"].values[0, 0]
    np.testing.assert_allclose(
        canvas[:SIZE, :SIZE], np.clip((np.moveaxis(first, 0, -1) + 1) / 2, 0, 1), atol=1e-6
    )


def test_a_sample_that_left_to_infinity_is_a_grey_square():
    assert (plots.picture(np.full((1, 4, 4), np.nan)) == 0.93).all()
    assert (plots.picture(np.full((3, 4, 4), 7.0)) == 1).all()


def test_agreement_puts_the_median_at_the_dot(store):
    ds = store["agreement"].to_dataset()
    axes = plots.agreement(ds)
    marked = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    dots = [tuple(dot) for line in marked for dot in line.get_xydata()]
    for i, family in enumerate(FAMILIES):
        for predictor in ("ideal", "linear"):
            median = float(np.median(ds["r"].sel(family=family, predictor=predictor)))
            assert any(abs(x - median) < 1e-12 and abs(y - i) < 0.5 for x, y in dots)
    assert len(axes.collections) == 2 * len(FAMILIES)  # a ceiling and a floor for each
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "ideal",
        "linear",
        "ceiling",
        "mean image",
    ]
    assert [t.get_text() for t in axes.get_yticklabels()] == list(FAMILIES)


def test_agreement_leaves_out_what_was_not_computed(store):
    ds = store["agreement"].to_dataset()
    ds = ds.where(
        (ds["family"] != "unet") & ~((ds["family"] == "ideal") & (ds["predictor"] == "linear"))
    )
    axes = plots.agreement(ds)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(FAMILIES[:3])


def test_covariance_spectra_has_a_panel_per_law(store):
    figure = plots.covariance_spectra(store)
    assert [a.get_title() for a in figure.axes] == ["linear", "linear, rank 3"]
    dots = figure.axes[0].lines[2].get_xydata()
    flat = store["samples"]["sample"].sel(family="linear").values.reshape(SEEDS, -1).astype(float)
    expected = np.linalg.eigvalsh(np.cov(flat.T))[::-1][: SEEDS - 1]
    np.testing.assert_allclose(dots[:, 1], expected, rtol=1e-6)


def test_colours_stay_apart_for_every_eye():
    machado = {  # severity 1: deuteranope, protanope, tritanope
        "normal": np.eye(3),
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "tritan": [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    }
    rgb = np.array([mpl.colors.to_rgb(c) for c in colors.COLORS.values()])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for matrix in machado.values():
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(seen[None])[0]
        distance = deltaE_ciede2000(lab[:, None], lab[None]) + 100 * np.eye(len(lab))
        assert distance.min() > 16


@pytest.mark.parametrize("label", [*colors.COLORS, "mine", "yours", "anything else"])
def test_coloured_names_can_be_read(label):
    rgb = np.array(plots.readable(plots.color(label)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.4999


def test_a_family_keeps_its_colour_in_any_company():
    alone, together = (
        plots.palette(["unet"]),
        plots.palette(["ideal", "unet", "unet, max pooling", "mine"]),
    )
    assert alone["unet"] == together["unet"].lower() == mpl.colors.to_hex(plots.color("unet"))
    assert together["mine"] == plots.palette(["mine"])["mine"] == plots.color("mine")
    assert len(set(together.values())) == 4
    assert plots.family_of("linear_local, window 5") == "linear"
    assert plots.family_of("elsewhere") != "els"
    assert plots.color("mine") != plots.color("yours")


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("paper", "neurips"),
        ("paper", "icml"),
        ("paper", "iclr"),
        ("slides", None),
        ("notebook", None),
    ],
)
def test_style_sets_width_and_leaves_nothing_behind(name, venue, store):
    widths = {"neurips": 5.5, "icml": 3.25, "iclr": 5.5}
    with plots.style(name, venue):
        figure = plots.agreement(store["agreement"].to_dataset()).figure
        if venue:
            assert figure.get_size_inches()[0] == pytest.approx(widths[venue])
        assert b"%PDF" in plots.render(figure, "pdf")[:8]


@pytest.mark.parametrize(
    ("name", "venue"), [("papers", None), ("paper", "nips"), ("slides", "icml")]
)
def test_unknown_style_is_refused_with_a_remedy(name, venue):
    with pytest.raises(InputError, match=r"slides|neurips|paper"), plots.style(name, venue):
        pass


def test_saved_files_carry_the_commit_and_repeat_byte_by_byte(tmp_path, store):
    from PIL import Image

    attrs = store.attrs | {"question": "Größe <b> & 'quotes' (brackets)?"}
    for folder in ("one", "two"):
        with plots.style("paper"):
            figure = plots.agreement(store["agreement"].to_dataset()).figure
            paths = plots.save(figure, tmp_path / folder / "agreement.v1", metadata=attrs)
    assert [p.name for p in paths] == ["agreement.v1.pdf", "agreement.v1.png", "agreement.v1.svg"]
    for path in paths:
        content = path.read_bytes()
        assert content == (tmp_path / "one" / path.name).read_bytes()
        assert b"nowhere" not in content  # the host stays private
    pdf, png, svg = paths
    assert b"0123456789abcdef" in pdf.read_bytes()
    assert b"/FontFile2" in pdf.read_bytes()  # TrueType: text stays text
    assert b"/Type3" not in pdf.read_bytes()
    assert Image.open(png).text["Commit"] == "0123456789abcdef"
    assert json.loads(Image.open(png).text["Families"])["unet"] == {"type": "Unet"}
    assert "0123456789abcdef" in svg.read_text()
    assert "<text" in svg.read_text()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in paths)


def test_an_unknown_format_writes_nothing(tmp_path, store):
    with pytest.raises(InputError, match="pdf"):
        plots.save(Figure(), tmp_path / "figure", ("png", "pdff"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def spectrum():
    """Samples of the law itself, a family without a law, and a rank the data's fourth direction
    lies beyond.
    """
    rng = np.random.default_rng(0)
    data, n = 1 / np.arange(1, 41.0), 200
    law = np.stack([data, np.where(np.arange(40) < 3, data, 0)])
    found = np.stack([v * rng.chisquare(n - 1, 40) / (n - 1) for v in (*law, 0.5 * data)])
    return xr.Dataset(
        {
            "mode_variance": (("family", "mode"), found),
            "data_variance": (("mode",), data),
            "n_variance": (("family",), [n] * 3),
            "law_variance": (("law", "mode"), law),
        },
        {
            "family": ["linear", "linear, rank 3", "unet"],
            "law": ["linear", "linear, rank 3"],
            "mode": np.arange(1, 41),
        },
    )


def test_mode_variance_holds_samples_of_the_law_in_its_band(spectrum):
    axes = plots.mode_variance(spectrum)
    thick = {line.get_label(): line.get_ydata() for line in axes.lines}
    thin = [line.get_ydata() for line in axes.lines[1::2]]
    lines = dict(zip(spectrum["family"].values.tolist(), thin, strict=True))
    np.testing.assert_allclose(
        lines["unet"],
        (spectrum["mode_variance"].sel(family="unet") / spectrum["data_variance"]).values,
    )
    # a tenth of the rank: no neighbours yet
    assert thick["unet"][:9].tolist() == lines["unet"][:9].tolist()
    assert thick["unet"][29] == np.median(lines["unet"][26:33])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    outside = (lines["linear"] < band.min()) | (lines["linear"] > band.max())
    assert outside.sum() <= 7  # binomial(40, 0.05): above 7 has probability 0.001
    assert ((lines["unet"] < band.min()) | (lines["unet"] > band.max())).all()
    # lost directions leave the picture
    assert (lines["linear, rank 3"][3:] < axes.get_ylim()[0]).all()


def test_mode_variance_without_laws(spectrum):
    axes = plots.mode_variance(spectrum.drop_dims("law"))
    assert len(axes.collections) == 0


def test_radial_spectra_band_holds_the_data_itself():
    rng = np.random.default_rng(0)
    shape = np.arange(1, 11.0) ** -2
    power = np.stack(
        [shape * rng.exponential(size=(30, 10)), 4 * shape * rng.exponential(size=(30, 10))]
    )
    ds = xr.Dataset(
        {
            "power": (("family", "seed", "frequency"), power),
            "data_power": (("image", "frequency"), shape * rng.exponential(size=(500, 10))),
        },
        {"family": ["ideal", "unet"], "frequency": np.arange(1, 11)},
    )
    axes = plots.radial_spectra(ds)
    vertices = axes.collections[0].get_paths()[0].vertices
    low, high = vertices[:, 1].min(), vertices[:, 1].max()
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert ((lines["ideal"] > low) & (lines["ideal"] < high)).mean() >= 0.7
    assert (lines["unet"] > high).all()
    assert np.abs(lines["unet"] - 10 * np.log10(4)).max() < 4


def test_against_noise_draws_medians_and_leaves_out_zero():
    sigma = np.array([80.0, 5.0, 1.0, 0.0])
    scale = np.array([[[19, 9, 5, 3], [21, 9, 7, 3], [27, 11, 5, 3.0]], [[27, np.nan, 3, 3]] * 3])
    ds = xr.Dataset(
        {"scale": (("family", "seed", "sigma"), scale)},
        {"family": ["unet", "resnet"], "sigma": sigma},
        {"side": 28},
    )
    axes = plots.locality_scale(ds)
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert sorted(lines["unet"]) == [[1, 5], [5, 9], [80, 21]]
    assert sorted(lines["resnet"]) == [[1, 3], [80, 27]]
    assert axes.get_xlim()[0] > axes.get_xlim()[1]  # noise falls to the right
    single = plots.against_noise(
        xr.DataArray([2.0, 1.0], {"sigma": [3.0, 1.0]}, "sigma", "entropy", {"units": "nat"})
    )
    assert single.get_ylabel() == "entropy (nat)"


def test_mosaic_colours_equal_sources_alike():
    source = np.array([[5, 5, -1], [7, 5, 7]])
    painted = plots.mosaics.paint(source)
    assert (painted[0, 0] == painted[1, 1]).all()
    assert (painted[1, 0] == painted[1, 2]).all()
    assert (painted[0, 2] == plots.mosaics.UNKNOWN).all()
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 3
    many = plots.mosaics.paint(np.arange(60).reshape(6, 10)).reshape(-1, 3)
    assert len(np.unique(many.round(4), axis=0)) == 60
    ds = xr.Dataset(
        {
            "sample": (("seed", "channel", "row", "column"), np.zeros((2, 1, 2, 3))),
            "source": (("seed", "row", "column"), np.stack([source, np.full((2, 3), -1)])),
        },
        {"seed": [3, 4]},
    )
    figure = plots.mosaic(ds)
    assert [a.get_xlabel() for a in figure.axes if a.get_xlabel()] == [
        "2 sources,\nlargest 50%",
        "0 sources,\nlargest 0%",
    ]


def test_novelty_realism_puts_medians_where_they_are():
    ds = xr.Dataset(
        {
            "novelty": (("family", "seed"), [[0.0, 0.1, 0.2], [1.0, np.nan, 3.0]]),
            "realism": (("family", "seed"), [[1, 2, 3], [4, 5, 8.0]]),
        },
        {"family": ["ideal", "unet"]},
        {"novelty_reference": 0.5},
    )
    axes = plots.novelty_realism(ds)
    found = {
        line.get_label(): line.get_xydata().tolist()
        for line in axes.lines
        if line.get_label() in ("ideal", "unet")
    }
    assert found == {"ideal": [[2, 0.1]], "unet": [[6, 2]]}


def test_bias_cards_put_alike_families_side_by_side():
    ds = xr.Dataset(
        {
            "rank": (
                ("family",),
                [10.0, 99, 11, 98, 10.5],
                {"long_name": "effective rank", "units": "1"},
            ),
            "curl": (("family",), [0.1, 0.9, 0.1, np.nan, 0.12]),
            "same": (("family",), [3, 3, 3, 3, 3]),
            "affine": (("family", "sigma"), np.arange(10.0).reshape(5, 2)),
            "note": (("family",), list("abcde")),
        },
        {"family": ["ideal", "unet", "linear", "resnet", "ls"], "sigma": [10.0, 0.5]},
    )
    figure = plots.bias_cards(ds)
    right = figure.axes[1]
    order = [t.get_text() for t in right.get_yticklabels()]
    assert abs(order.index("unet") - order.index("resnet")) == 1
    assert [t.get_text() for t in right.get_xticklabels()] == [
        "effective rank",
        "curl",
        "same",
        "affine, sigma 10",
        "affine, sigma 0.5",
    ]
    shown = {tuple(np.floor(t.get_position())): t.get_text() for t in right.texts}
    assert shown[0, order.index("unet")] == "99"
    assert (1, order.index("resnet")) not in shown
    z = right.collections[0].get_array().reshape(len(order), -1)
    assert z[:, 0].mean() == pytest.approx(0)
    assert (z[:, 2] == 0).all()


def test_density_in_one_and_two_dimensions_encloses_the_mass():
    x = np.linspace(-4, 4, 161)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    points = np.random.default_rng(0).standard_normal((4000, 2))
    points[0] = 99
    line = plots.density(
        xr.Dataset({"density": ("x", normal), "point": ("draw", points[:, 0])}, {"x": x}),
        label="polynomial",
    )
    x_, y_ = line.collections[0].get_paths()[0].vertices.T
    area = abs(np.sum(x_ * np.roll(y_, -1) - y_ * np.roll(x_, -1))) / 2  # of a polygon
    assert area == pytest.approx(3999 / 4000, abs=2e-3)
    assert "1 of 4000" in line.get_title()
    levels = plots.laws.enclosing(np.outer(normal, normal))
    # exp(-R^2/2) of a disc's mass lies outside it
    expected = (1 - np.array([0.95, 0.8, 0.6, 0.4, 0.2])) / (2 * np.pi)
    np.testing.assert_allclose(levels, expected, rtol=0.05)
    assert plots.laws.enclosing(np.array([1.0, np.nan, 3.0, 2.0]), (1.0, 0.5)).tolist() == [
        1.0,
        3.0,
    ]
    plane = xr.Dataset(
        {
            "density": (("y", "x"), np.outer(normal, normal)),
            "point": (("draw", "axis"), points),
            "image": (("n", "axis"), points[1:5]),
        },
        {"x": x, "y": x},
    )
    axes = plots.density(plane, label="polynomial")
    assert "1 of 4000" in axes.get_title()


def test_training_curves_skip_holes_and_untrained_families():
    loss = np.array([[4.0, 2, 1, np.nan], [np.nan] * 4, [3, np.nan, 1, 1]])
    ds = xr.Dataset(
        {"loss": (("family", "step"), loss)},
        {"family": ["unet", "ideal", "resnet"], "step": [0, 10, 20, 30]},
    )
    axes = plots.training_curves(ds)
    assert {line.get_label(): line.get_xydata().tolist() for line in axes.lines} == {
        "unet": [[0, 4], [10, 2], [20, 1]],
        "resnet": [[0, 3], [20, 1], [30, 1]],
    }
    noisy = np.r_[np.ones(50), 9, np.ones(49)]
    assert plots.training.running_median(noisy, 2).tolist() == [1] * 100


def test_every_figure_draws_into_given_axes(store, spectrum):
    figure = Figure(figsize=(9, 3))
    one, two, three, four = figure.subplots(1, 4)
    assert plots.agreement(store["agreement"].to_dataset(), axes=one) is one
    assert plots.mode_variance(spectrum, two) is two
    assert plots.training_curves(store["training"].to_dataset(), three) is three
    assert plots.image_grid(store["samples"]["sample"].sel(family="linear"), axes=four) is four
    assert plots.render(one, "png") == plots.render(figure, "png")


def test_names_are_shown_as_they_are():
    names = ("$\\frac{$", "a$b$c", "unet")
    hostile = tree(families=names)
    for figure in (
        plots.family_grid(hostile),
        plots.agreement(hostile["agreement"].to_dataset()).figure,
        plots.covariance_spectra(hostile),
    ):
        plots.render(figure, "svg")
    shown = plots.render(
        plots.training_curves(hostile["training"].to_dataset()).figure, "svg"
    ).decode()
    assert ">a$b$c<" in shown


def test_many_families_go_into_bands_wide_enough_to_see():
    names = tuple(f"unet, variant {i}" for i in range(17))
    with plots.style("paper", "icml"):
        figure = plots.family_grid(tree(families=names), seeds=2)
        assert len(figure.axes) == 4
        shown = [
            t.get_text().replace("\n", " ") for axes in figure.axes for t in axes.get_xticklabels()
        ]
        assert shown == list(names)
        figure.draw_without_rendering()
        assert min(a.get_window_extent().width / figure.dpi for a in figure.axes) > 2.3


def test_plots_leave_pyplot_alone_and_show_themselves_in_a_notebook(store):
    for file in Path(plots.__file__).parent.glob("*.py"):
        assert not re.search(r"import.*(pyplot|pylab)|plt\.", file.read_text(encoding="utf-8"))
    assert plots.family_grid(store, seeds=1)._repr_png_()[:4] == b"\x89PNG"


def test_standard_draws_what_the_store_has(store):
    assert list(plots.standard(store)) == ["samples", "agreement", "covariance", "training"]
    partial = xr.DataTree.from_dict(
        {"samples": store["samples"].to_dataset(), "predictions": xr.Dataset()}
    )
    assert list(plots.standard(partial)) == ["samples"]
    assert plots.standard(xr.DataTree()) == {}


def test_field_arrows_point_where_the_field_points():
    x, y = np.linspace(-1, 1, 41), np.linspace(-1, 1, 31)
    across, up = np.meshgrid(x, y)
    ds = xr.Dataset(
        {
            "field": (("y", "x", "axis"), np.stack([-up, across], -1)),
            "point": (("draw", "axis"), [[0.5, 0]]),
        },
        {"x": x, "y": y},
    )
    axes = plots.field(ds, arrows=10)
    (arrows,) = axes.collections
    at, direction = arrows.XY, np.stack([arrows.U, arrows.V], -1)
    assert len(at) <= 100
    moving = np.hypot(*at.T) > 1e-9
    np.testing.assert_allclose(
        direction[moving],
        (np.stack([-at[:, 1], at[:, 0]], -1) / np.hypot(*at.T)[:, None])[moving],
        atol=1e-12,
    )


def test_receptive_fields_have_a_map_per_family_and_level():
    maps = np.random.default_rng(0).random((2, 3, 5, 5))
    field = xr.DataArray(
        maps,
        {"family": ["unet", "els"], "sigma": [10.0, 1.0, 0.1]},
        ("family", "sigma", "row", "column"),
    )
    figure = plots.receptive_fields(field)
    np.testing.assert_allclose(
        [a.images[0].get_array() for a in figure.axes], np.sqrt(maps).reshape(6, 5, 5)
    )
    assert [a.get_title() for a in figure.axes[:3]] == ["sigma 10", "sigma 1", "sigma 0.1"]


def test_a_style_is_the_same_whatever_the_readers_matplotlibrc_says():
    inherited = {"text.usetex": True, "axes.grid": True, "figure.figsize": (1, 1), "font.size": 30}
    with plots.style("notebook"):
        wanted = dict(mpl.rcParams)
    with mpl.rc_context(inherited):
        with plots.style("notebook"):
            assert dict(mpl.rcParams) == wanted
        assert mpl.rcParams["text.usetex"]


def test_image_table_puts_every_picture_in_its_row_and_column():
    levels = np.linspace(-1, 1, 6).reshape(2, 3, 1, 1, 1)
    images = np.broadcast_to(levels, (2, 3, 1, 14, 14)).copy()
    images[1, 2] = np.nan
    axes = plots.image_table(
        images, ["0", "1"], ["a", "b", "c"], Figure().subplots(), {"b": "#D55E00"}
    )
    canvas = axes.images[0].get_array()
    assert canvas.shape == (2 * 15 - 1, 3 * 15 - 1, 3)
    for i, j in np.ndindex(2, 3):
        x = axes.get_xticks()[j], axes.get_yticks()[i]
        seen = canvas[int(x[1]), int(x[0]), 0]
        wanted = (levels[i, j, 0, 0, 0] + 1) / 2
        assert seen == (pytest.approx(wanted) if (i, j) != (1, 2) else 0.93)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "c"]


def test_agreement_says_which_prediction_comes_closest(store):
    ds = store["agreement"].to_dataset()
    figure = plots.agreement(ds).figure
    # a family and its own law are no predictions of it: ideal is predicted by linear alone
    medians = ds["r"].median("seed")
    closest = [float(medians.sel(family=f, predictor="linear")) for f in FAMILIES if f != "linear"]
    told = figure._suptitle.get_text().replace("\n", " ")
    assert f"linear comes closest to 3 of 4 families: median {min(closest):.2f} to" in told
    rest = [p for p in map(str, ds["predictor"].values) if p not in ("linear", "linear law")]
    rest = [p for p in rest if p not in (*compare.CEILINGS, *compare.FLOORS)]
    other = max(rest, key=lambda p: float(medians.sel(family="linear", predictor=p)))
    value = float(medians.sel(family="linear", predictor=other))
    assert f"; {other} comes closest to linear: median {value:.2f}." in told
    one = plots.agreement(ds.sel(family=["unet"])).figure._suptitle.get_text()
    assert f"linear comes closest to unet: median {closest[-1]:.2f}." in one.replace("\n", " ")
    assert plots.agreement(ds, axes=Figure().subplots()).figure._suptitle is None


def test_directions_beyond_the_twentieth_have_half_the_page(spectrum):
    modes = np.arange(1, 101)
    wide = xr.Dataset(
        {
            "mode_variance": (("family", "mode"), np.stack([1.0 / modes, 1e-9 / modes])),
            "data_variance": ("mode", 1.0 / modes),
        },
        {"family": ["unet", "shallow"], "mode": modes},
    )
    axes = plots.mode_variance(wide)
    low, cut, high = (axes.transData.transform((x, 1.0))[0] for x in (1, 20, 100))
    assert (high - cut) / (high - low) > 0.5
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["unet", "shallow (below)"]


def test_a_page_of_two_columns_takes_figures_of_both_widths(store):
    for columns, inches in ((1, 3.25), (2, 6.75)):
        with plots.style("paper", "icml", columns):
            figure = plots.agreement(store["agreement"].to_dataset()).figure
            assert figure.get_size_inches()[0] == pytest.approx(inches)
            assert plots.page_width(1.35) == pytest.approx(inches)
    with pytest.raises(InputError, match="icml or cvpr"), plots.style("paper", "neurips", 2):
        pass


def test_a_band_is_the_median_with_its_interval_whatever_is_missing():
    axes = Figure().subplots()
    values = [np.array([1.0, 2.0, np.nan, 6.0]), np.array([4.0, 4.0, 4.0, 4.0])]
    band(axes, [10, 100], values, color="black")
    (line,) = axes.lines
    assert line.get_ydata().tolist() == [2, 4]
    assert not axes.get_legend_handles_labels()[1]
    shaded = axes.collections[0].get_paths()[0].vertices
    first = shaded[shaded[:, 0] == 10, 1]
    assert 1 <= first.min() <= 2 <= first.max() <= 6
    assert set(shaded[shaded[:, 0] == 100, 1]) == {4}


def test_the_leaderboard_puts_the_best_first_and_says_what_was_told():
    share = np.array([[0.9, 0.2, -3.0, 0.5], [0.7, 0.4, -0.2, np.nan]])
    dims, told = ("family", "theory"), ["a scale", "nothing", "nothing", "its Jacobian and a scale"]
    ds = xr.Dataset(
        {"share": (dims, share), "low": (dims, share - 0.1), "high": (dims, share + 0.1)}
        | {"told": ("theory", told)},
        {"family": ["one", "two"], "theory": ["c", "b", "d", "a"]},
    )
    figure = crossed.leaderboard(ds)
    figure.canvas.draw()
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["c", "a", "b", "d"]
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["told nothing", "told a scale", "told its Jacobian and a scale"]
    points = [xy for line in first.lines if line.get_marker() == "o" for xy in line.get_xydata()]
    assert sorted(map(tuple, points)) == [(0.2, 2.0), (0.5, 1.0), (0.9, 0.0)]
    (arrow,) = (line for line in first.lines if line.get_marker() == "<" and len(line.get_xydata()))
    assert arrow.get_xydata().tolist() == [[crossed.WORST, 3.0]]
    assert not any(len(line.get_xydata()) for line in second.lines if line.get_marker() == "<")
