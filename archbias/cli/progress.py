"""Progress of a run on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .shared import err

if TYPE_CHECKING:
    from ..study import Cell


class Bars:
    """Progress of a run on standard error: all cells weighted by cost, and the cell at work."""

    def __init__(self) -> None:
        self.bars = Progress(
            TextColumn("{task.description:<24.24}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=err,
            transient=False,
        )
        self.inner: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def start(self, cells: Sequence[Cell], done: Sequence[str]) -> None:
        self.cost = {c.name: c.seconds for c in cells}
        total, spent = sum(self.cost.values()), sum(self.cost[n] for n in done)
        self.all = self.bars.add_task(
            "all cells",
            total=total,
            completed=cast(Any, spent),
            note=f"{len(done)} of {len(cells)}",
        )
        self.count, self.total = len(done), len(cells)

    def begin(self, cell: Cell) -> None:
        self.now = cell.name
        self.base = self.bars.tasks[self.all].completed
        self.inner[cell.name] = self.bars.add_task(cell.name, total=None, note="")

    def within(self, done: float, total: float, note: str) -> None:
        self.bars.update(self.inner[self.now], completed=done, total=total, note=note)
        self.bars.update(
            self.all, completed=self.base + self.cost[self.now] * min(1.0, done / max(total, 1e-9))
        )

    def end(self, cell: Cell, error: BaseException | None) -> None:
        task = self.inner.pop(cell.name)
        self.bars.remove_task(task)
        self.count += 1
        spent = getattr(self, "base", 0.0) + self.cost[cell.name]
        self.bars.update(self.all, completed=spent, note=f"{self.count} of {self.total}")
        self.base = spent
        if error is not None:
            from ..study.failures import headline

            self.say(f"cell {cell.name} raised {headline(error)}")

    def say(self, text: str) -> None:
        err.print(text, markup=False, style="yellow")
