"""The watch file is read whole or refused with a sentence that names the place."""

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from monitoring.problem import Severity
from monitoring.watch_file import QuietHours, Rules, WatchFile
from schemas.errors import InputError

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str) -> WatchFile:
    path = tmp_path / "watch.yaml"
    path.write_text(text)
    return WatchFile.read(path)


def test_the_example_is_valid_and_shows_every_rule_with_its_defaults() -> None:
    """Each rule with each of its options, so that the file is a list of them."""
    example = WatchFile.read(ROOT / "examples" / "watch.yaml")
    assert example.rules == Rules()
    for name in Rules.model_fields:
        rule: BaseModel = getattr(example.rules, name)
        assert rule.model_fields_set == type(rule).model_fields.keys() - {"enabled"}, name
    assert [one.strategy_id for one in example.strategies] == ["btc_momentum"]
    assert example.alerts.quiet_hours is not None


def test_what_the_example_leaves_out_is_valid_too(tmp_path: Path) -> None:
    """Its comments are options, each on a line of its own."""
    text = (ROOT / "examples" / "watch.yaml").read_text()
    file = read(tmp_path, re.sub(r"(?m)^    # (\w+: )", r"    \1", text))
    (one,) = file.strategies
    assert one.model_fields_set == type(one).model_fields.keys()
    assert one.held_besides == {"BTC": Decimal("0.5")}
    assert one.bar == timedelta(minutes=1)


def test_the_docs_tell_every_rule_with_its_defaults() -> None:
    """docs/monitoring.md has a row for each rule, with each option and its default, and no other."""
    page = (ROOT / "docs" / "monitoring.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", page.split("## Rules")[1].split("\n## ")[0], re.MULTILINE))
    assert rows.keys() == Rules.model_fields.keys()
    for name, row in rows.items():
        rule: BaseModel = getattr(Rules(), name)
        for option in type(rule).model_fields.keys() - {"enabled"}:
            assert f"`{option}: {_written(getattr(rule, option))}`" in row, (name, option)


def _written(value: object) -> str:
    if isinstance(value, Severity):
        return value.name.lower()
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        sizes = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
        return next(f"{seconds // size}{unit}" for unit, size in sizes if seconds % size == 0)
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_an_empty_file_watches_everything_by_the_defaults(tmp_path: Path) -> None:
    """Comments alone are empty too."""
    assert read(tmp_path, "# nothing\n") == WatchFile()


def test_a_section_without_lines_stands_for_its_defaults(tmp_path: Path) -> None:
    """As when all of them are commented out."""
    assert read(tmp_path, "alerts:\nrules:\n  rejects:\n    # count: 2\n") == WatchFile()


def test_times_of_day_may_stand_without_quotes(tmp_path: Path) -> None:
    """YAML takes 22:00 for the number 1320; 7:00 stays text, and is no time of ISO's."""
    hours = read(tmp_path, "alerts: {quiet_hours: {start: 22:00, end: '07:00'}}").alerts.quiet_hours
    assert hours is not None
    assert (hours.start, hours.end) == (time(22), time(7))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules: {signal_mising: {}}", "rules.signal_mising is unknown. Did you mean signal_missing?"),
        ("rules: {slippage: {bp: 5}}", "rules.slippage.bp is unknown. Did you mean bps?"),
        ("alert: {}", "alert is unknown. Did you mean alerts?"),
        ("alerts: {quiet_hours: {start: '1:00'}}", "alerts.quiet_hours.start: a time of day such as 22:00 was needed"),
        ("alerts: {quiet_hours: {from: '01:00'}}", "alerts.quiet_hours.start is missing."),
        (
            "alerts: {quiet_hours: {start: '22:00', end: '07:00', zone: UTC}}",
            "alerts.quiet_hours.zone is unknown. Did you mean timezone?",
        ),
        (
            "alerts: {quiet_hours: {start: '22:00', end: '22:00'}}",
            "alerts.quiet_hours: start and end must differ, found 22:00 twice.",
        ),
        (
            "alerts: {quiet_hours: {start: '22:00', end: '07:00', timezone: Mars}}",
            "a time zone such as UTC or Asia/Shanghai was needed, found 'Mars'.",
        ),
        (
            "alerts: {urls: ['tgram://hunter2/1']}",
            "alerts.urls is unknown. Known are repeat_after, over_after, quiet_hours.",
        ),
        (
            "alerts: {repeat_after: 60}",
            "alerts.repeat_after: a duration such as 90s, 5m, 1h or 2d was needed, found 60.",
        ),
        ("alerts: {repeat_after: 0s}", "alerts.repeat_after: a duration above zero was needed, found '0s'."),
        ("alerts: {repeat_after: 99999999999d}", "alerts.repeat_after: a duration such as"),
        ("rules: {silent: {bars: 0}}", "rules.silent.bars: Input should be greater than 0, found 0."),
        ("rules: {silent: {bars: .nan}}", "rules.silent.bars: Input should be"),
        ("rules: {silent: {severity: bad}}", "rules.silent.severity: warning or critical was needed, found 'bad'."),
        ("rules: {silent: {enabled: maybe}}", "rules.silent.enabled: "),
        ("strategies: [{timeframe: 1m}]", "strategies.1.strategy_id is missing."),
        ("strategies: [{strategy_id: s}, {strategy: s}]", "strategies.2.strategy_id is missing."),
        ("strategies: [{strategy_id: s, timeframe: 1x}]", "strategies.1.timeframe: "),
        ("strategies: [{strategy_id: s, pairs: [BTCUSDT]}]", "strategies.1.pairs.1: "),
        ("strategies: [{strategy_id: s, besides: [BTC]}]", "an asset and an amount such as BTC=0.5 was needed, found"),
        (
            "strategies: [{strategy_id: s, freqtrade: '127.0.0.1'}]",
            "an address such as http://127.0.0.1:8080 was needed",
        ),
        (
            "strategies: [{strategy_id: s}, {strategy_id: s}]",
            "The strategy s 1m stands twice; of two bots, name each one's consumer.",
        ),
        ("rules: {}\nrules: {}", "rules stands twice, the second time in line 2."),
        ("rules: [", "is no valid YAML at line 1, column 9"),
        ("[1, 2]", "must hold strategies, rules and alerts, found [1, 2]."),
        ("rules: {[1]: 2}", "the key in line 1 is no word or number."),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    """Of several mistakes the first one."""
    with pytest.raises(InputError) as raised:
        read(tmp_path, text)
    assert sentence in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """It belongs in the environment, and the sentence is printed."""
    with pytest.raises(InputError, match="belong in the environment") as raised:
        read(tmp_path, "strategies: [{strategy_id: s, freqtrade: 'http://u:hunter2@127.0.0.1:8080'}]")
    assert "hunter2" not in str(raised.value)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """And so is one that is a folder."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match="can not be read"):
            WatchFile.read(path)


def quiet(start: str, end: str, **other: str) -> QuietHours:
    return QuietHours.model_validate({"start": start, "end": end, **other})


@pytest.mark.parametrize(
    ("hours", "held"),
    [
        (quiet("22:00", "07:00"), {21: False, 22: True, 3: True, 7: False}),
        (quiet("08:00", "12:00"), {7: False, 8: True, 11: True, 12: False}),
        (quiet("22:00", "07:00", timezone="Asia/Shanghai"), {13: False, 14: True, 22: True, 23: False}),
    ],
)
def test_quiet_hours_hold_warnings(hours: QuietHours, held: dict[int, bool]) -> None:
    """From their start to their end, that not included, by the clock of their zone; Shanghai is UTC+8."""
    for hour, is_held in held.items():
        at = datetime(2022, 1, 15, hour, tzinfo=UTC)
        assert hours.holds(Severity.WARNING, at) is is_held, hour
        assert not hours.holds(Severity.CRITICAL, at)


def test_quiet_hours_may_hold_everything() -> None:
    """Where nothing is let through."""
    hours = quiet("22:00", "07:00", let_through="nothing")
    assert hours.holds(Severity.CRITICAL, datetime(2022, 1, 15, 23, tzinfo=UTC))
