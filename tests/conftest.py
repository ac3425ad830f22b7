"""Shared fixtures: small image sets, and real images where they are at hand."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


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
