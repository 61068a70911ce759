"""Progress of a run at a terminal: each step while it runs, and its seconds when it has ended."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from quantflow_nodes.commands.console import err
from quantflow_nodes.runner import Observer


@contextmanager
def step_progress(*, quiet: bool) -> Iterator[Observer]:
    """Give an observer that shows steps on standard error for the length of a `with` block, if that is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def observe(step: str, state: str, seconds: float | None) -> None:
            if state == "running":
                tasks[step] = progress.add_task(step, total=None)
                return
            if step in tasks:
                progress.remove_task(tasks.pop(step))
            if not progress.disable:
                took = f" in {seconds:.2f} s" if seconds is not None else ""
                progress.console.print(f"{step}: {state}{took}")

        yield observe
