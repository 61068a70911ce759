"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

GraphPath = Annotated[Path, typer.Argument(help="The graph, a YAML file.", metavar="GRAPH.yaml", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NODE.PARAM=VALUE", help="Replace a parameter; may be given several times."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
