"""archbias: why diffusion models invent, measured by architecture."""

__version__ = "0.1.0"
