"""Denoisers fitted by gradient descent: `unet resnet mlp dit shallow`, and the training they share.

`network.py` is the contract (a module with its scaling, a trained denoiser); `layers.py` the parts;
`train.py` the settings, `batches.py` batches and losses, `stacked.py` several networks at once,
`checkpoints.py` and `descent.py` the loop, `timing.py` what a step takes on this machine. For a new
network copy `resnet.py`. What is solved in closed form belongs in `posteriors` or `regressions`.
"""
