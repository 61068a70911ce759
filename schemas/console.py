"""How every command of ours speaks: logs and sentences on standard error, results on standard output, exit codes."""

import logging
import signal
import sys
from collections.abc import Callable

import structlog
import typer

from schemas.errors import QuantFlowError
from schemas.mongo import redact_uri
from schemas.settings import Settings

INTERRUPTED = 130
TERMINATED = 143
DISAGREES = 7  # two sides were compared, and they are not the same
_INTERRUPTED_SENTENCE = "Interrupted. What was stored is kept; run it again to go on."


def configure_logging(settings: Settings) -> None:
    """Send structured logs to standard error: readable at a terminal, one JSON object a line in a service."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    json = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            *(json if settings.log_json else (plain,)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_secrets(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: redact_uri(value) if isinstance(value, str) else value for key, value in event.items()}


def run_command(app: Callable[[], None]) -> None:
    """Run a command line to its end: our errors become their sentence and exit code, never a traceback.

    SIGTERM ends it as Ctrl-C does, so that what it started is ended and what it was doing is marked.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        app()
    except QuantFlowError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what Typer makes of Ctrl-C
            typer.secho(_INTERRUPTED_SENTENCE, err=True)
        raise
    except RuntimeError as error:
        # A Ctrl-C between two steps of one of threading's locks comes out as that lock's complaint.
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        typer.secho(_INTERRUPTED_SENTENCE, err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as head, has left
        sys.stderr.close()
        sys.exit(0)
