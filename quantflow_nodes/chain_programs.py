"""Starts the long-running programs of the live chain beside each other, as a user would, and ends them together."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quantflow_nodes.programs import end_process, end_with_parent, find_program
from schemas.errors import QuantFlowError


class ChainError(QuantFlowError):
    """A program of the chain ended before it was asked to."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command that runs until it is ended, and the file that takes what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise a ChainError, with its last words, where the program has ended."""
        if self.process.poll() is not None:
            said = self.log.read_text(errors="replace").strip()[-600:]
            raise ChainError(f"{self.name} ended with exit code {self.process.returncode}: {said or 'it said nothing'}")


@contextmanager
def running_program(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Program]:
    """Run one of our commands for the length of a `with` block; its output goes to a file in `folder`."""
    name = " ".join(command[:2])
    log = folder / f"{command[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [find_program(command[0], "embedded"), *command[1:]],
            cwd=folder,  # a .env of the user's must not reach it
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to answer
            preexec_fn=end_with_parent,
        )
    try:
        yield Program(name, process, log)
    finally:
        end_process(process)
