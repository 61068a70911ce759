"""Who owns what: free and locked amounts in integers, which move and are never made except by a deposit."""

from dataclasses import dataclass


@dataclass(slots=True)
class Balance:
    """One account's amount of one asset, in units of 1e-8; `locked` is what its open orders need."""

    free: int = 0
    locked: int = 0

    @property
    def total(self) -> int:
        """Free and locked together."""
        return self.free + self.locked


class Ledger:
    """All balances, and which of them the current transaction has touched."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, Balance]] = {}
        self._touched: dict[tuple[str, str], Balance] = {}

    def accounts(self) -> dict[str, dict[str, Balance]]:
        """Return the live balances by account and asset; for reading only."""
        return self._accounts

    def balances(self, account: str) -> dict[str, Balance]:
        """Return copies of an account's balances; empty where it never had any."""
        found = self._accounts.get(account, {})
        return {asset: Balance(one.free, one.locked) for asset, one in found.items()}

    def supply(self, asset: str) -> int:
        """Return what all accounts have of an asset together."""
        total = 0
        for assets in self._accounts.values():
            balance = assets.get(asset)
            if balance is not None:
                total += balance.free + balance.locked
        return total

    def free(self, account: str, asset: str) -> int:
        """Return what the account may spend or lock."""
        assets = self._accounts.get(account)
        found = assets.get(asset) if assets is not None else None
        return found.free if found is not None else 0

    def set(self, account: str, asset: str, free: int, locked: int) -> None:
        """Put a balance where a journal says it stood."""
        self._accounts.setdefault(account, {})[asset] = Balance(free, locked)

    def add(self, account: str, asset: str, amount: int) -> None:
        """Move `amount` into (or, below zero, out of) what is free."""
        balance = self._touch(account, asset)
        balance.free += amount
        if balance.free < 0:
            raise _overdrawn(account, asset, balance)

    def lock(self, account: str, asset: str, amount: int) -> None:
        """Move `amount` from free to locked, or back where it is below zero."""
        balance = self._touch(account, asset)
        balance.free -= amount
        balance.locked += amount
        if balance.free < 0 or balance.locked < 0:
            raise _overdrawn(account, asset, balance)

    def spend(self, account: str, asset: str, released: int, paid: int) -> None:
        """Take `released` out of what is locked: `paid` of it leaves the account, the rest becomes free."""
        balance = self._touch(account, asset)
        balance.locked -= released
        balance.free += released - paid
        if balance.free < 0 or balance.locked < 0:
            raise _overdrawn(account, asset, balance)

    def take_touched(self) -> dict[tuple[str, str], Balance]:
        """Return the live balances that have moved since the last call."""
        touched, self._touched = self._touched, {}
        return touched

    def _touch(self, account: str, asset: str) -> Balance:
        key = (account, asset)
        balance = self._touched.get(key)
        if balance is None:
            assets = self._accounts.get(account)
            if assets is None:
                assets = self._accounts[account] = {}
            balance = assets.get(asset)
            if balance is None:
                balance = assets[asset] = Balance()
            self._touched[key] = balance
        return balance


def _overdrawn(account: str, asset: str, balance: Balance) -> RuntimeError:
    return RuntimeError(
        f"A trade would leave {account} with {balance.free} free and {balance.locked} locked of {asset} (in 1e-8); "
        "the checks before it should have refused it. This is a fault of the venue."
    )
