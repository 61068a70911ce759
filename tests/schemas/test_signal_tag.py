"""A trade's tag names its signal, and reads back to the same signal."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signal_tag import SignalTag

FIVE_PAST_MS = 1_640_995_500_000  # 2022-01-01 00:05 UTC


def test_is_readable() -> None:
    """The tag shows strategy, time and version, as a person would write them."""
    assert datetime.fromtimestamp(FIVE_PAST_MS / 1000, UTC) == datetime(2022, 1, 1, 0, 5, tzinfo=UTC)
    assert str(SignalTag("btc_momentum", FIVE_PAST_MS, 3)) == "btc_momentum@2022-01-01T00:05Z#3"


@given(
    strategy_id=st.text(min_size=1, max_size=200),
    minute=st.integers(0, 150 * 365 * 1440),
    version=st.integers(1, 10**9),
)
def test_reads_back_and_fits_into_freqtrades_column(strategy_id: str, minute: int, version: int) -> None:
    """Any strategy_id comes back, even one that looks like a tag, and no tag is longer than 255 characters."""
    tag = SignalTag(strategy_id, minute * 60_000, version)
    assert SignalTag.parse(str(tag)) == tag
    assert len(str(tag)) <= 255


@pytest.mark.parametrize("text", [None, "", "force_entry", "stop_loss", "a@2022-01-01T00:05Z", "@2022-01-01T00:05Z#1"])
def test_other_texts_are_no_tags(text: str | None) -> None:
    """What Freqtrade or a person wrote is not mistaken for a signal."""
    assert SignalTag.parse(text) is None
