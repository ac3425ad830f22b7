"""How much of a network a theory is told, in words that every table prints.

nothing      computed from the images alone
a scale      a setting was calibrated on the network's own trajectories
its padding  which places meet the border alike
its Jacobian how far each output pixel looks, measured on unseen noisy images
"""

from __future__ import annotations

from typing import Any

NOTHING, SCALE, PADDING, JACOBIAN = "nothing", "a scale", "its padding", "its Jacobian"


def scale(*settings: Any) -> str:
    """SCALE when one of the settings is a schedule that follows a network, else NOTHING.

    A schedule fitted on held-out images, or written by a rule, follows none.
    """
    sources = [getattr(s, "source", "") for s in settings]
    followed = any(s and "held-out" not in s and not s.startswith("rule") for s in sources)
    return SCALE if followed else NOTHING


def with_padding(*settings: Any) -> str:
    """The same of a theory that also knows how the network pads."""
    return f"{PADDING} and {SCALE}" if scale(*settings) == SCALE else PADDING


def told(spec: Any) -> str:
    """What of a network the theory of this spec is told; a family that says nothing of it is told
    what its settings are.
    """
    words = getattr(spec, "told", None)
    return words if isinstance(words, str) else scale(*vars(spec).values())


def combined(*specs: Any, also: str = NOTHING) -> str:
    """What several theories are told in all, and something more."""
    heard = " and ".join([*map(told, specs), also])
    found = [words for words in (PADDING, JACOBIAN, SCALE) if words in heard]
    if len(found) < 2:
        return found[0] if found else NOTHING
    return f"{', '.join(found[:-1])} and {found[-1]}"


def sees(spec: Any) -> bool:
    """Whether a theory is told the network's Jacobian, and so wants masks measured on it."""
    return JACOBIAN in told(spec)
