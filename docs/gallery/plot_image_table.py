"""Images by row and column
========================

Both named: three garments under rising noise.
"""

import numpy as np
from matplotlib.figure import Figure

import archbias
from archbias import plots

x = archbias.load("fashion_mnist", n=3).images
noise = archbias.seeds.normal(range(3), x.shape[1:])
levels = [0.0, 0.3, 1.0, 3.0]
noisy = np.stack([(x + s * noise).numpy() for s in levels], 1)
axes = Figure(figsize=(6, 4)).subplots()
plots.image_table(noisy, ["one", "two", "three"], [f"sigma {s}" for s in levels], axes)
