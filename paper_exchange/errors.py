"""The two kinds of refusal: a user's mistake at start (a sentence) and a client's mistake (the venue's code)."""


class StartError(Exception):
    """The venue can not start with what it was given; the message says what was needed and what to do."""


class ApiError(Exception):
    """A request is refused in the venue's own form, ``{"code": ..., "msg": ...}``.

    Parameters
    ----------
    code
        The venue's error code, such as -1121.
    msg
        The venue's message, word for word where it is documented.
    status
        The HTTP status; 400 for what the sender must change.
    retry_after_s
        Seconds for the ``Retry-After`` header of a 429 or 418.
    """

    def __init__(self, code: int, msg: str, *, status: int = 400, retry_after_s: int | None = None) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.retry_after_s = retry_after_s


def invalid_symbol() -> ApiError:
    """Return the refusal of a symbol that is not listed."""
    return ApiError(-1121, "Invalid symbol.")


def mandatory(name: str) -> ApiError:
    """Return the refusal of a request without its parameter `name`."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def empty(name: str) -> ApiError:
    """Return the refusal of a parameter that was sent without a value."""
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def illegal(name: str, legal: str) -> ApiError:
    """Return the refusal of characters that `name` can not hold; `legal` is the venue's own pattern."""
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def not_valid(name: str) -> ApiError:
    """Return the refusal of a value that is well formed and can not be used."""
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def bad_combination() -> ApiError:
    """Return the refusal of parameters that can not be sent together."""
    return ApiError(-1128, "Combination of optional parameters invalid.")
