"""Settings are frozen dataclasses; `changed` copies them with one dotted name changed.

changed(settings, "data.n", 500)
changed(settings, "families.els", "els(window=5)")
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

from .. import families
from ..denoise import Spec
from ..errors import InputError, nearest


def changed(settings: Any, key: str, value: Any) -> Any:
    """A copy of nested frozen settings with the value of one dotted name changed.

    Raises:
        InputError: no such setting, or a value of another type.
    """
    return _set(settings, key.split("."), value, key)


def _set(target: Any, keys: list[str], value: Any, whole: str) -> Any:
    """A copy of nested frozen settings with one value changed."""
    key, rest = keys[0], keys[1:]
    if isinstance(target, dict):
        if rest and key not in target:
            raise InputError(
                f"setting {whole!r} names unknown entry {key!r}; {nearest(key, target)}"
            )
        if rest:
            return target | {key: _set(target[key], rest, value, whole)}
        return target | {
            key: _typed(target.get(key, next(iter(target.values()), None)), value, whole)
        }
    if not is_dataclass(target):
        raise InputError(
            f"setting {whole!r} goes below {target!r}, which has no settings of its own; stop at "
            "its name"
        )
    names = {f.name for f in fields(target) if f.init}
    if key not in names:
        raise InputError(
            f"unknown setting {whole!r}: {type(target).__name__} has no {key!r}; "
            f"{nearest(key, names)}"
        )
    old = getattr(target, key)
    if value is None and not rest and NoneType in get_args(get_type_hints(type(target))[key]):
        return replace(target, **{key: None})
    return replace(
        target, **{key: _set(old, rest, value, whole) if rest else _typed(old, value, whole)}
    )


def _typed(old: Any, value: Any, key: str) -> Any:
    """The value in the type of the one it replaces; text for a group of settings sets the group's
    first field.
    """
    if isinstance(old, Spec) or isinstance(value, Spec) or is_dataclass(value):
        return families.parse(value) if isinstance(value, str) else value
    if is_dataclass(old):
        return replace(old, **{fields(old)[0].name: value})
    if isinstance(old, tuple):
        return tuple(value) if isinstance(value, list | tuple | range) else (value,)
    kind = type(old)
    if isinstance(old, str) and isinstance(value, int | float):
        return str(value)
    if isinstance(old, bool | int | float | str):
        fits = isinstance(value, int | float if kind is float else kind) and isinstance(
            value, bool
        ) == (kind is bool)
        if not fits:
            raise InputError(
                f"setting {key!r} must be {kind.__name__} like its default {old!r}, got {value!r}; "
                "give such a value"
            )
        return kind(value)
    return value
