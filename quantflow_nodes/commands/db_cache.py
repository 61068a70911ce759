"""quantflow db cache: what copies of bars lie on this machine for faster reading, and how to be rid of them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from quantflow_nodes.commands.arguments import AsJson
from quantflow_nodes.commands.console import out, print_json, summary_table
from schemas.errors import QuantFlowError
from schemas.settings import Settings


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all copies; bars are not touched.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the copies of bars that make reading them again fast: folder, size, symbols. No server is asked.

    They may be deleted at any time; QUANTFLOW_BARS_CACHE_MB says how much space they may take, 0 turns them off.

    Examples: quantflow db cache; quantflow db cache --clear
    """
    from research.stored.bars_copy import BarsCopies

    settings = Settings.load()
    copies = BarsCopies(settings.home, settings.bars_cache_mb * 1_000_000)
    kept = copies.kept()
    if clear:
        try:
            copies.clear()
        except OSError as error:
            raise QuantFlowError(
                f"The copies of bars in {copies.folder} could not be deleted: {error.strerror}. "
                "Delete the folder, or give its files back to this user."
            ) from None
    shown: dict[str, Any] = {
        "folder": str(copies.folder),
        "limit_mb": settings.bars_cache_mb,
        "size_mb": 0.0 if clear else sum(symbol.size_bytes for symbol in kept) / 1_000_000,
        "deleted_mb": sum(symbol.size_bytes for symbol in kept) / 1_000_000 if clear else None,
    }
    symbols = [
        {
            "symbol": one.symbol,
            "source": one.source,
            "bars": one.bars,
            "months": list(one.months),
            "size_mb": one.size_bytes / 1_000_000,
            "used_at": datetime.fromtimestamp(one.used_at, UTC).isoformat(timespec="seconds"),
        }
        for one in kept
        if not clear
    ]
    if as_json:
        print_json(shown | {"symbols": symbols})
        return
    out.print(summary_table("Copies of bars", {name: value for name, value in shown.items() if value is not None}))
    if symbols:
        lines = {
            f"{one['symbol']} in {one['source']}": f"{one['bars']:,} bars, {one['size_mb']:.1f} MB, {one['used_at']}"
            for one in symbols
        }
        out.print(summary_table("Symbols, the one used longest ago first", lines, plain=True))
