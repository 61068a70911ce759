"""How every command of ours speaks: logs and sentences on standard error, results on standard output, exit codes."""

import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TextIO

import structlog
import typer

from schemas.errors import QuantFlowError
from schemas.secrets import without_secrets
from schemas.settings import Settings

INTERRUPTED = 130
TERMINATED = 143
DISAGREES = 7  # two sides were compared, and they are not the same
_KEPT = "What was stored is kept; run it again to go on."
_INTERRUPTED_SENTENCE = f"Interrupted. {_KEPT}"


def configure_logging(settings: Settings) -> None:
    """Send structured logs to standard error: readable at a terminal, one JSON object a line in a service.

    What libraries log goes the same way, from the same level on. No secret of the settings gets into either.
    """
    plain = (structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),)
    json = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    facts = (structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))
    written = (*(json if settings.log_json else plain), _without_secrets)
    structlog.configure(
        processors=[*facts, *written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # what standard error is when a line comes
        cache_logger_on_first_use=False,
    )
    handler = _LibraryHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *facts],
        )
    )
    root = logging.getLogger()
    root.handlers = [*(one for one in root.handlers if not isinstance(one, _LibraryHandler)), handler]
    root.setLevel(settings.log_level)


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is when a record comes, as Python's own last resort does."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        pass


def _without_secrets(_: object, __: str, line: str) -> str:
    return without_secrets(line)


def run_command(app: Callable[[], None]) -> None:
    """Run a command line to its end: our errors become their sentence and exit code, never a traceback.

    SIGTERM ends it as Ctrl-C does, so that what it started is ended and what it was doing is marked. Notes that were
    added to what ended it are sentences of advice, and follow its own.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    sys.excepthook = _show_trace
    try:
        app()
    except QuantFlowError as error:
        typer.secho(f"Error: {without_secrets(_advised(str(error), error))}", err=True, fg=typer.colors.RED)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what Typer makes of Ctrl-C
            typer.secho(_advised(_INTERRUPTED_SENTENCE, end), err=True)
        elif end.code == TERMINATED and _advice(end):
            typer.secho(_advised(f"Terminated. {_KEPT}", end), err=True)
        raise
    except RuntimeError as error:
        # A Ctrl-C between two steps of one of threading's locks comes out as that lock's complaint.
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        typer.secho(_advised(_INTERRUPTED_SENTENCE, error), err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as head, has left
        sys.stderr.close()
        sys.exit(0)


def _advised(sentence: str, error: BaseException) -> str:
    return " ".join([sentence, *_advice(error)])


def _advice(error: BaseException | None) -> list[str]:
    """Return the notes of an error and of what it came from: Typer makes another one of a Ctrl-C."""
    advice: list[str] = []
    while error is not None:
        advice += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    return advice


def _show_trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show what nobody foresaw as Python does, but for secrets."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


@contextmanager
def ended_by_signals(end: Callable[[], object]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM call `end`, so that the work at hand ends well, and the next one end at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def answer(_number: int, _frame: FrameType | None) -> None:
        restore()
        end()

    for number in before:
        signal.signal(number, answer)
    try:
        yield
    finally:
        restore()
