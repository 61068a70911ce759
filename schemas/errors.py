"""Every error that a user can cause or must cure, as a tree; each message is a sentence that says what to do."""


class QuantFlowError(Exception):
    """An error whose message is meant for the user: commands print it and exit with `exit_code`."""

    exit_code = 1


class InputError(QuantFlowError):
    """What the user gave (an argument, a file, a frame) can not be used as it is."""

    exit_code = 2


class SettingsError(InputError):
    """A setting is missing or has a value that can not be used."""


class SymbolError(InputError):
    """A symbol can not be read, split or translated."""


class TimeError(InputError):
    """A time is naive, off the timeframe's grid, or not reached yet."""


class GraphError(InputError):
    """A node graph can not run as it is written."""


class SignalError(InputError):
    """A signal breaks the contract of `crypto_signals`."""


class SignalConflictError(SignalError):
    """A signal's key is stored already, for another symbol."""


class StoreError(QuantFlowError):
    """MongoDB did not do what was asked: unreachable, refused, full, or no server can run here."""

    exit_code = 3


class StoreUnreachableError(StoreError):
    """No MongoDB server answers; `found` says where and how, the advice is for the process that asked."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found, advice)
        self.found = found

    def __str__(self) -> str:
        return " ".join(self.args)


class VenueError(QuantFlowError):
    """The venue could not be reached or refused what was asked."""

    exit_code = 4


class LockedError(QuantFlowError):
    """Another process holds what is needed; try again when it has ended."""

    exit_code = 5
