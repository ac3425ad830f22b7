"""A scene in JupyterLab, by anywidget, which is imported when one is shown."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InputError

FOLDER = Path(__file__).parent


def shown(scene: dict[str, Any]) -> Any:
    """The widget of a scene; its traits are scene, choice, step and pixel (row, column)."""
    made, start = kind(), scene["start"]
    pixel = [start["row"], start["column"]]
    return made(scene=scene, choice=start["choice"], step=start["step"], pixel=pixel)


@cache
def kind() -> type:
    """The widget's class.

    Raises:
        InputError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError(
            f'wanted anywidget to show a widget, got "{error}"; install it with pip install '
            '"archbias[notebook]", or give path="explore.html"'
        ) from None

    class Explorer(anywidget.AnyWidget):
        """Pictures to point at: `pixel` (row, column), `step` of the slider, `choice` of lists."""

        _esm = FOLDER / "widget.js"
        _css = FOLDER / "widget.css"
        scene = traitlets.Dict().tag(sync=True)
        choice = traitlets.List(traitlets.Int(min=0)).tag(sync=True)
        step = traitlets.Int(0, min=0).tag(sync=True)
        pixel = traitlets.List(traitlets.Int(min=0), minlen=2, maxlen=2).tag(sync=True)

        @traitlets.validate("pixel", "step", "choice")
        def _inside(self, proposal: Any) -> Any:
            """Within the picture, the slider and the lists."""
            name, value = proposal["trait"].name, proposal["value"]
            scene = self.scene
            if not scene:
                return value
            if name == "step":
                return min(value, len(scene["steps"]["values"]) - 1)
            most = scene["size"] if name == "pixel" else [
                len(c["values"]) for c in scene["choices"]
            ]  # fmt: skip
            if len(value) != len(most):
                raise traitlets.TraitError(f"{name} wants {len(most)} numbers, got {len(value)}")
            return [min(v, n - 1) for v, n in zip(value, most, strict=True)]

    return Explorer
