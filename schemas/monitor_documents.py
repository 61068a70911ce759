"""What the monitor keeps for itself, the only documents it writes: which alerts are on, and what was told of them."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.documents import Document, Name, UtcTime

AlertSeverity = Literal["warning", "critical"]
AlertEnd = Literal["over", "unwatched"]
Subject = Annotated[str, Field(min_length=1, max_length=500)]


class MonitorAlert(Document):
    """One problem from its beginning to its end, in `monitor_alerts`.

    Times are the market's, as all times of documents; `claimed_until` is the server's.

    Attributes
    ----------
    slot : str
        Rule, strategy, bot and subject as one text while it lasts, so that there is one; `alert_id` afterwards.
    began_at : datetime
        When the problem began; `noticed_at` when a monitor saw it first.
    seen_at : datetime
        A late look that found it; it is refreshed every few minutes, not at each look.
    severity, told_severity : 'warning' or 'critical'
        What it is now, and the worst that was told.
    told_at : datetime or None
        When it was told last; None where nobody was told, as in quiet hours.
    gone_at : datetime or None
        The look since which it was not found any more; when it has not been for long enough, it is over.
    over_at, ended : datetime, 'over' or 'unwatched', or None
        When and how it ended: it was judged and not found again, or nobody watched it any more.
    settled : bool
        Nothing is left to be told of it.
    revision : int
        Grows with each change, so that of two monitors one makes it.
    claimed_until : datetime or None
        Until when a monitor that is telling it now has it for its own.
    """

    alert_id: Name
    slot: Annotated[str, Field(min_length=1, max_length=1_200)]
    rule: Name
    strategy_id: Name | None = None
    consumer: Name | None = None
    subject: Subject
    pair: Name | None = None
    severity: AlertSeverity
    text: str
    began_at: UtcTime
    noticed_at: UtcTime
    seen_at: UtcTime
    told_at: UtcTime | None = None
    told_severity: AlertSeverity | None = None
    times_told: int = Field(default=0, ge=0)
    gone_at: UtcTime | None = None
    over_at: UtcTime | None = None
    ended: AlertEnd | None = None
    settled: bool = False
    revision: int = Field(default=1, ge=1)
    claimed_until: UtcTime | None = None
