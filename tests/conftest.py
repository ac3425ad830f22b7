"""Shared fixtures: small image sets, and real images where they are at hand."""

import atexit
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

# no test may live on how many threads there are: OMP_NUM_THREADS=4 tries another number
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
# what a step takes is timed in each run of the tests, and left out of the user's own record
os.environ["ARCHBIAS_CACHE"] = tempfile.mkdtemp(prefix="archbias-tests-")
atexit.register(shutil.rmtree, os.environ["ARCHBIAS_CACHE"], ignore_errors=True)


SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the tests in the random order of this seed"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """No test may live on another having run before it."""
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with celeba/, cifar10_20k.npz, mnist.npz and fashion_mnist.npz, or a skip that
    says how to give it.
    """
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("ARCHBIAS_TEST_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            "real images are not at hand; set ARCHBIAS_TEST_DATA to a folder with celeba/ and the "
            "npz files"
        )
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, driven by its own driver; tests that need it are skipped where it is not
    installed.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser test needs selenium")
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not (driver and chromium):
        pytest.skip(
            "the browser test needs Chromium and its driver (Debian: chromium chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()
