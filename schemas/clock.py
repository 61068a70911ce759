"""The time by which a process runs: the machine's own, or a replay's, which runs faster through days gone by.

A replay's time is a straight line over the machine's, so all processes of one machine that are given the same line see
the same time, without asking each other.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from schemas.errors import SettingsError
from schemas.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINE = re.compile(r"(?P<shown>[^@]+)@(?P<wall>[^@]+)x(?P<speed>[0-9]+(\.[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class Clock:
    """Shows `shown` when the machine's clock shows `wall`, and runs `speed` times as fast; by default the machine's.

    Written as text it is `2022-01-15T12:00:00+00:00@2026-11-21T09:00:00+00:00x20`.
    """

    shown: datetime = _EPOCH
    wall: datetime = _EPOCH
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Clock":
        """Return the clock that a text describes.

        Raises
        ------
        SettingsError
            Where the text is none.
        """
        match = _LINE.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            shown, wall = datetime.fromisoformat(match["shown"]), datetime.fromisoformat(match["wall"])
            speed = float(match["speed"])
            if speed <= 0 or shown.tzinfo is None or wall.tzinfo is None:
                raise ValueError(text)
        except ValueError:
            raise SettingsError(
                "QUANTFLOW_REPLAY_CLOCK must say which time is shown at which, and how fast it runs, such as "
                f"2022-01-15T12:00:00Z@2026-11-21T09:00:00Zx20; found {text!r}. Leave it unset outside of a replay."
            ) from None
        return cls(shown.astimezone(UTC), wall.astimezone(UTC), speed)

    def __str__(self) -> str:
        return f"{self.shown.isoformat()}@{self.wall.isoformat()}x{self.speed:g}"

    @property
    def is_replay(self) -> bool:
        """Whether it shows another time than the machine's."""
        return self != Clock()

    def at(self, wall: datetime) -> datetime:
        """Return the time that is shown when the machine's clock shows `wall`, aware UTC."""
        return self.shown + (wall - self.wall) * self.speed

    def wall_at(self, shown: datetime) -> datetime:
        """Return what the machine's clock shows when this one shows `shown`, aware UTC."""
        return self.wall + (shown - self.shown) / self.speed

    def now(self) -> datetime:
        """Return the time that is shown now, aware UTC."""
        return self.at(datetime.now(UTC))


@lru_cache(maxsize=1)
def process_clock() -> Clock:
    """Return the clock of this process: the machine's, unless `QUANTFLOW_REPLAY_CLOCK` puts it into a replay.

    Raises
    ------
    SettingsError
        Where that setting describes no clock.
    """
    line = Settings.load().replay_clock
    return Clock() if line is None else Clock.parse(line)
