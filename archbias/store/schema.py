"""What the variables of a store are called and measured in.

Every variable carries a long_name and units: from the tables here, or its own.
"""

from __future__ import annotations

import xarray as xr

from ..errors import InputError

# name: (long_name, units). Every variable of a store is described here or carries both attributes
# itself.
VARIABLES = {
    "sample": ("sample from the denoiser", "pixel value in [-1, 1]"),
    "prediction": ("predicted sample from the same noise", "pixel value in [-1, 1]"),
    "mean": ("mean of the generated law", "pixel value in [-1, 1]"),
    "eigenvalue": ("covariance eigenvalue of the generated law", "squared pixel value"),
    "mode_variance": (
        "variance of the samples along a principal direction of the data",
        "squared pixel value",
    ),
    "law_variance": (
        "variance of the generated law along a principal direction of the data",
        "squared pixel value",
    ),
    "data_variance": (
        "variance of the training images along their principal direction",
        "squared pixel value",
    ),
    "n_variance": ("number of samples whose variance was taken", "1"),
    "r": ("Pearson correlation over pixels and channels", "1"),
    "r_squared": ("square of the Pearson correlation", "1"),
    "explained": ("explained share 1 - SSE/SST", "1"),
    "amplitude_ratio": ("standard deviation of the prediction over that of the sample", "1"),
    "mse": ("mean squared difference", "squared pixel value"),
    "cosine": ("cosine similarity", "1"),
    "distance": ("Euclidean distance to the nearest training image", "pixel value"),
    "distance_ratio": (
        "distance to the nearest over distance to the second nearest training image",
        "1",
    ),
    "nearest_id": ("id of the nearest training image", ""),
    "nearest_image": ("nearest training image", "pixel value in [-1, 1]"),
    "copy": ("copy of a training image: distance ratio below 1/3", ""),
    "loss": ("training loss", "weighted squared pixel value"),
    "seconds": ("wall time", "s"),
}
COORDINATES = {
    "family": ("denoiser family", ""),
    "predictor": ("prediction compared with", ""),
    "law": ("generated law", ""),
    "seed": ("seed of the starting noise", ""),
    "sigma": ("noise level", "pixel value"),
    "step": ("training step", "step"),
    "mode": ("principal direction, largest variance first", ""),
}


def about(long_name: str, units: str = "1") -> dict[str, str]:
    """The attributes that say what a variable is."""
    return {"long_name": long_name, "units": units}


def describe(group: xr.Dataset) -> xr.Dataset:
    """The data set with long_name and units on every variable; an InputError names one that has
    neither.
    """
    group = group.copy()
    for name, index in group.indexes.items():
        if not index.is_unique:
            again = index[index.duplicated()][0]
            raise InputError(
                f"the labels of a dimension must differ, got {name} = {again!r} twice; rename one"
            )
    for name, var in group.variables.items():
        known = VARIABLES.get(str(name)) or COORDINATES.get(str(name))
        wanted = {"long_name"} if var.dtype.kind in "mM" else {"long_name", "units"}
        if known:
            group[name].attrs = about(*known) | group[name].attrs
        elif name in group.data_vars and not wanted <= group[name].attrs.keys():
            raise InputError(
                f"every stored variable needs long_name and units, got {name!r} without; "
                "set its attrs or name it as in archbias.store.VARIABLES"
            )
    return group
