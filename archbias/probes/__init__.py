"""The bias card: what a denoiser has built in, measured on the denoiser itself, whatever it is.

card = bias_card(denoiser, images, sigmas, held_out=unseen)
proposals = predictors(card)         the score machines and laws that match, chosen without looking
                                     at samples
"""

from .card import FRACTIONS, BiasCard, bias_card
from .predictors import Proposal, predictors, window_schedule

__all__ = ["FRACTIONS", "BiasCard", "Proposal", "bias_card", "predictors", "window_schedule"]
