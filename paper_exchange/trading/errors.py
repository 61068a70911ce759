"""The refusals of an order or a cancel, with the venue's codes and words, and the failure of the journal."""


class Rejected(Exception):  # noqa: N818 - the venue's word for it; it is an answer, not a fault
    """An order or a cancel is refused; nothing has changed.

    Parameters
    ----------
    code
        The venue's error code, such as -2010.
    msg
        The venue's message, word for word where it is documented.
    """

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


class JournalError(Exception):
    """The venue has stopped trading, for it can not keep what it would promise; each call from then on says why."""


def filter_failure(name: str) -> Rejected:
    """Return the refusal of an order that breaks the filter `name`."""
    return Rejected(-1013, f"Filter failure: {name}")


def invalid_value(what: str) -> Rejected:
    """Return the refusal of a price, stop price or quantity that is not above zero."""
    return Rejected(-1013, f"Invalid {what}.")


def invalid_symbol() -> Rejected:
    """Return the refusal of a symbol that is not listed."""
    return Rejected(-1121, "Invalid symbol.")


def not_required(name: str) -> Rejected:
    """Return the refusal of a parameter that the order's type does not take."""
    return Rejected(-1106, f"Parameter '{name}' sent when not required.")


def insufficient_balance() -> Rejected:
    """Return the refusal of an order that the account can not pay."""
    return Rejected(-2010, "Account has insufficient balance for requested action.")


def duplicate_order() -> Rejected:
    """Return the refusal of a client order id that an open order has."""
    return Rejected(-2010, "Duplicate order sent.")


def would_match() -> Rejected:
    """Return the refusal of a LIMIT_MAKER that would take."""
    return Rejected(-2010, "Order would immediately match and take.")


def would_trigger() -> Rejected:
    """Return the refusal of a stop that the last price has passed already."""
    return Rejected(-2010, "Stop price would trigger immediately.")


def market_closed() -> Rejected:
    """Return the refusal of an order before the symbol's first bar has opened."""
    return Rejected(-2010, "Market is closed.")


def unknown_order() -> Rejected:
    """Return the refusal of a cancel of something that is not open."""
    return Rejected(-2011, "Unknown order sent.")


def no_such_order() -> Rejected:
    """Return the refusal of a question about an order that never was."""
    return Rejected(-2013, "Order does not exist.")
