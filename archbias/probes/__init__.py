"""The bias card: what a denoiser has built in, measured on the denoiser itself, whatever it is.

card = bias_card(denoiser, images, sigmas, held_out=unseen)
"""

from .card import BiasCard, bias_card

__all__ = ["BiasCard", "bias_card"]
