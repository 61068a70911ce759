"""Tells a bot that nobody has ever seen, such as one whose name is misspelt, from one that misses its signals."""

from difflib import get_close_matches

from monitoring.chain.signal_chain import find_consumers
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, Store
from schemas.errors import InputError

_WRITTEN_BY_BOTS = (SIGNAL_RECEIPTS, FILLS, POSITIONS)
_MOST_NAMED = 5


def unseen_bot(db: Store, strategy_id: str | None, consumer: str) -> str | None:
    """Return a sentence where a bot has never written anything about a strategy, or about any; None where it has.

    The sentence names the known bot whose name is nearest, or else those that there are.
    """
    own = {"consumer": consumer} if strategy_id is None else {"consumer": consumer, "strategy_id": strategy_id}
    if any(db[name].find_one(own, {"_id": True}) is not None for name in _WRITTEN_BY_BOTS):
        return None
    if strategy_id is None:
        of, known = "any strategy", sorted(map(str, db[SIGNAL_RECEIPTS].distinct("consumer")))
    else:
        of, known = strategy_id, find_consumers(db, strategy_id)
    near = get_close_matches(consumer, known, n=1)
    if near:
        hint = f"Did you mean {near[0]}?"
    elif known:
        more = " and others" if len(known) > _MOST_NAMED else ""
        hint = f"Known are {', '.join(known[:_MOST_NAMED])}{more}."
    else:
        hint = "No other bot has either: it may be new, or a name misspelt."
    return f"The bot {consumer} has never been seen with a signal of {of}. {hint}"


def check_seen(db: Store, strategy_id: str | None, consumer: str) -> None:
    """Raise an InputError where a bot that a person has named was never seen; see `unseen_bot`."""
    sentence = unseen_bot(db, strategy_id, consumer)
    if sentence is not None:
        raise InputError(sentence)
