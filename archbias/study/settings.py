"""Settings are frozen dataclasses; `changed` copies them with one dotted name changed.

    changed(settings, "data.n", 500)
    changed(settings, "families.els", "els(window=5)")
    changed(settings, "data.root", given("007"))

A text of the command line is read for the setting it is meant for: 1e3 is a number where a number
is wanted and the three characters where a text is.
"""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import dataclass, fields, is_dataclass, replace
from types import NoneType
from typing import Any, cast, get_args, get_type_hints

import numpy as np

from .. import families
from ..denoise import Spec, configure, from_json
from ..errors import InputError, nearest


@dataclass(frozen=True)
class Given:
    """A text of the command line, as it stands and as the Python literal it may be."""

    text: str
    value: Any

    def __repr__(self) -> str:
        return repr(self.value)


def given(text: str) -> Given:
    """The text with its value: a Python literal, true, false, none, or the text itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # 7else is a text
            return Given(text, ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return Given(text, {"true": True, "false": False, "none": None}.get(text.lower(), text))


def restored(usual: Any, told: dict[str, Any]) -> Any:
    """Settings of the kind of `usual` from their JSON; what an older archbias lacked is at its
    default.

    Raises:
        InputError: they are of another kind, or have what this one does not know.
    """
    known = {cls.__name__: cls for cls in families.FAMILIES.values()}
    namespace = vars(sys.modules[type(usual).__module__]) | {type(usual).__name__: type(usual)}

    def build(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(build, value))
        if not isinstance(value, dict):
            return value
        if "type" not in value:
            return {k: build(v) for k, v in value.items()}
        if value["type"] in known:
            return from_json(known[value["type"]], value)
        settings = {k: build(v) for k, v in value.items() if k != "type"}
        return configure(namespace[value["type"]], **settings)

    try:
        if told["type"] != type(usual).__name__:
            raise TypeError(f"they are {told['type']}")
        return build(told)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"wanted settings as this archbias writes them, got others ({error}); install the "
            "archbias that wrote them"
        ) from error


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
        first = next(iter(target.values()), None)
        return target | {key: _typed(target.get(key, first), value, whole)}
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
    old, hint = getattr(target, key), get_type_hints(type(target))[key]
    if rest:
        return replace(cast(Any, target), **{key: _set(old, rest, value, whole)})
    return replace(cast(Any, target), **{key: _typed(old, value, whole, _kinds(hint))})


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types a setting may have, if all of them are plain: (str, NoneType) for `str | None`."""
    kinds = get_args(hint) if NoneType in get_args(hint) else (hint,)
    return kinds if set(kinds) <= {bool, int, float, str, NoneType} else ()


def _typed(old: Any, value: Any, key: str, kinds: tuple[type, ...] = ()) -> Any:
    """The value in the type of the one it replaces; text for a group of settings sets the group's
    first field.
    """
    if isinstance(old, tuple) and old and all(isinstance(v, str) for v in old):
        alone = isinstance(value, Given) and isinstance(value.value, int | float)
        return (value.text,) if alone else _tuple(_plain(value))
    if is_dataclass(old) and not isinstance(old, Spec) and not _is_settings(_plain(value)):
        return _set(old, [fields(old)[0].name], value, key)
    kinds = kinds or ((type(old),) if isinstance(old, bool | int | float | str) else ())
    if str in kinds and isinstance(value, Given):
        wanted = isinstance(value.value, str) or (value.value is None and NoneType in kinds)
        return value.value if wanted else value.text
    value = _plain(value)
    if isinstance(old, Spec) or _is_settings(value):
        return families.parse(value) if isinstance(value, str) else value
    if isinstance(old, tuple):
        return _tuple(value)
    return _fitting(old, value, key, kinds) if kinds else value


def _is_settings(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _plain(value: Any) -> Any:
    """The value without what tells where it came from: the command line, or numpy."""
    value = value.value if isinstance(value, Given) else value
    return value.item() if isinstance(value, np.generic) else value


def _tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, list | tuple | range) else (value,)


def _fitting(old: Any, value: Any, key: str, kinds: tuple[type, ...]) -> Any:
    """The value as one of the types; whole numbers are numbers, and numbers have a text.

    Raises:
        InputError: it is of none of these types.
    """
    if type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    if str in kinds and type(value) in (int, float):
        return str(value)
    names = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
    raise InputError(
        f"setting {key!r} must be {names} like its default {old!r}, got {value!r}; give such a "
        "value"
    )
