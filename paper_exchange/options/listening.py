"""Options about the process: where it listens, how it says that it is ready, and when it ends."""

from pathlib import Path
from typing import Annotated

import typer

Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")]
Host = Annotated[str, typer.Option(help="Address to listen at; all but loopback let other machines in.")]
WeightLimit = Annotated[int, typer.Option(min=0, help="Request weight per minute; 0 for no limit.")]
MessageLimit = Annotated[int, typer.Option(min=0, help="Messages a second that a market socket may send; 0 for any.")]
ReadyFile = Annotated[Path | None, typer.Option(help="When ready, write url, port and bars here as JSON.")]
UntilEof = Annotated[bool, typer.Option("--until-eof", help="End when standard input ends, as with its parent.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")]
