"""What a run lends to its nodes can be sent to another process, without the secrets that no node needs."""

import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from swept import walk_graph

from quantflow_nodes.node import RunContext
from quantflow_nodes.sweep.evaluation import SweepSpec, Task
from schemas.settings import Settings

URI = "mongodb://research:pw_of_mongo@127.0.0.1:1/"


def context_with_secrets(tmp_path: Path) -> RunContext:
    """Every setting that is a secret is planted as itself."""
    secrets = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert {"mongo_uri", "exchange_key", "exchange_secret", "alert_urls", "freqtrade_password"} <= set(secrets)
    planted = {name: SecretStr(f"planted_{name}") for name in secrets} | {"mongo_uri": SecretStr(URI)}
    return RunContext(Settings(home=tmp_path, **planted), "run", "walk", "", datetime(2022, 1, 1, tzinfo=UTC), 1)


def test_no_secret_but_mongodbs_address_is_sent(tmp_path: Path) -> None:
    """Neither with a node nor with a task of a sweep; whatever else is a secret one day stays too."""
    context = context_with_secrets(tmp_path)
    spec = SweepSpec("key", walk_graph(), (("momentum", "lookback_bars"),), "backtest", context, {})
    for sent in (context, Task(spec, None, ((20,),))):
        assert b"planted_" not in pickle.dumps(sent)
        assert b"pw_of_mongo" in pickle.dumps(sent)
    assert context.settings.exchange_key == SecretStr("planted_exchange_key")


def test_the_rest_arrives_as_it_was(tmp_path: Path) -> None:
    """What nodes look at, and the database."""
    context = context_with_secrets(tmp_path)
    arrived = pickle.loads(pickle.dumps(context))  # noqa: S301 - our own
    assert arrived == RunContext(context.settings.for_workers(), "run", "walk", "", context.now, 1)
    assert arrived.settings.mongo_uri == SecretStr(URI)
    assert (arrived.settings.home, arrived.settings.db) == (tmp_path, context.settings.db)


def test_the_process_that_is_sent_a_secret_hides_it(tmp_path: Path) -> None:
    """As the process does that loaded it: a new one, which is told nothing else."""
    sent = tmp_path / "sent"
    sent.write_bytes(pickle.dumps(context_with_secrets(tmp_path)))
    said = "import pickle, sys; from schemas.secrets import without_secrets; pickle.load(open(sys.argv[1], 'rb')); "
    said += "print(without_secrets('It is pw_of_mongo.'))"
    ended = subprocess.run([sys.executable, "-c", said, sent], capture_output=True, text=True, check=True)
    assert ended.stdout == "It is ***.\n"
