"""Progress bars, one for each symbol, on standard error; drawn at a terminal only."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from schemas.symbols import Symbol


class SymbolBar:
    """The bar of one symbol."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def expect(self, rows: int) -> None:
        """Set how many rows will come."""
        self._progress.update(self._task, total=rows)

    def advance(self, rows: int) -> None:
        """Count rows that were taken."""
        self._progress.advance(self._task, rows)


class SymbolBars:
    """The bars of a run; drawn inside a `with` block."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("bars"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def add(self, symbol: Symbol) -> SymbolBar:
        """Return a new bar, of unknown length until it is told."""
        return SymbolBar(self._progress, self._progress.add_task(str(symbol), total=None))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
