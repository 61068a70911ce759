"""compose.yaml says what it means: known keys only, nothing open to other machines, no secret in the environment."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from monitoring.watch_file import WatchFile
from schemas.settings import all_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class _Part(BaseModel):
    """The part of Compose's specification that is used here; an unknown key is a slip of the pen."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Build(_Part):
    context: str
    dockerfile: str


class Healthcheck(_Part):
    test: list[str] = Field(min_length=2)
    interval: str
    timeout: str
    retries: int
    start_period: str


class Needs(_Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Logs(_Part):
    driver: Literal["json-file"]
    options: dict[str, str]


class Service(_Part):
    image: str
    build: Build | None = None
    user: str | None = None
    init: bool = False
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    environment: dict[str, str] = {}
    secrets: list[str] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    ports: list[str] = []
    networks: list[str] = []
    network_mode: str | None = None
    extra_hosts: list[str] = []
    depends_on: dict[str, Needs] = {}
    healthcheck: Healthcheck | None = None
    stop_grace_period: str | None = None
    mem_limit: str | None = None
    restart: str
    read_only: bool
    cap_drop: list[str]
    security_opt: list[str]
    logging: Logs


class Compose(_Part):
    name: str
    services: dict[str, Service]
    networks: dict[str, None]
    volumes: dict[str, None]
    secrets: dict[str, dict[Literal["file"], str]]


def interpolated(text: str) -> str:
    """The file as Compose reads it where .env sets nothing but the owner."""
    return VARIABLE.sub(lambda match: "1000" if match[2] == "?" else match[3], text)


def read() -> Compose:
    content = yaml.safe_load(interpolated(TEXT))
    return Compose.model_validate({key: value for key, value in content.items() if not key.startswith("x-")})


COMPOSE = read()
SERVICES = sorted(COMPOSE.services.items())
each_service = pytest.mark.parametrize(("name", "service"), SERVICES, ids=[name for name, _ in SERVICES])


def test_the_four_and_the_job_are_there() -> None:
    """MongoDB, the job that makes it ready, the monitor, Prometheus, Grafana."""
    assert set(COMPOSE.services) == {"mongo", "mongo-init", "monitor", "prometheus", "grafana"}


def test_what_is_named_exists() -> None:
    """Networks, volumes, secrets and services that are used are declared, and used where declared."""
    services = COMPOSE.services.values()
    assert {network for one in services for network in one.networks} == set(COMPOSE.networks)
    assert {secret for one in services for secret in one.secrets} == set(COMPOSE.secrets)
    sources = {volume.split(":")[0] for one in services for volume in one.volumes}
    assert {source for source in sources if not source.startswith(".")} == set(COMPOSE.volumes)
    assert {name for one in services for name in one.depends_on} <= set(COMPOSE.services)


def test_what_is_mounted_is_in_the_folder() -> None:
    """All but the secrets, which prepare.sh makes."""
    sources = {volume.split(":")[0] for one in COMPOSE.services.values() for volume in one.volumes}
    mounted = {source for source in sources if source.startswith(".")}
    assert all((DEPLOY / source).exists() for source in mounted if "secrets" not in source)
    prepared = (DEPLOY / "prepare.sh").read_text()
    for source in (*mounted, *(secret["file"] for secret in COMPOSE.secrets.values())):
        if "secrets" in source:
            assert source in {"./secrets", "./secrets/monitor", "./secrets/grafana/admin_password"}
            assert Path(source).name in prepared


@each_service
def test_images_are_pinned(name: str, service: Service) -> None:
    """To a version of three numbers, so that tomorrow's start runs what today's ran."""
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service.image)


@each_service
def test_services_may_do_little(name: str, service: Service) -> None:
    """Nobody is root by default, keeps a capability, gains a right, or writes to its root."""
    assert service.read_only
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert service.user is None or not service.user.startswith("0")
    assert set(service.logging.options) == {"max-size", "max-file"}


@each_service
def test_only_loopback_is_published(name: str, service: Service) -> None:
    """MongoDB, Prometheus and Grafana are for this machine; the monitor for Prometheus alone."""
    assert all(port.startswith("127.0.0.1:") for port in service.ports)
    assert name != "monitor" or not service.ports


@each_service
def test_services_are_watched_and_restarted(name: str, service: Service) -> None:
    """Each that goes on says whether it is well; the job is done when it is done."""
    if name == "mongo-init":
        assert service.restart == "on-failure:3"
    else:
        assert service.restart == "unless-stopped"
        assert service.healthcheck is not None
        assert service.healthcheck.test[0] == "CMD"


@each_service
def test_no_secret_is_in_the_environment(name: str, service: Service) -> None:
    """`docker inspect` shows an environment to whoever may ask; a file shows itself to its owner."""
    for variable, value in service.environment.items():
        is_a_file = variable.endswith("__FILE") and value.startswith("/run/secrets/")
        assert is_a_file or not re.search(r"PASSWORD|SECRET(?!S_DIR)|KEY(?!_FILE)|URI|URL|TOKEN", variable), variable
    assert "://" not in " ".join([*(service.command or ()), *service.environment.values()])


@each_service
def test_our_variables_are_settings(name: str, service: Service) -> None:
    """A misspelt variable would be ignored, silently."""
    ours = {variable for variable in service.environment if variable.startswith("QUANTFLOW_")}
    assert ours <= set(all_settings())


def test_variables_are_explained() -> None:
    """.env.example sets each variable of the file, to its default, and no other."""
    used = {match[1]: match[3] for match in VARIABLE.finditer(TEXT) if match[2] == "-"}
    required = {match[1] for match in VARIABLE.finditer(TEXT) if match[2] == "?"}
    example = dict(
        line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if re.match(r"\w", line)
    )
    assert {key: value for key, value in example.items() if key not in required} == used
    assert set(example) == set(used) | required


def test_the_monitor_takes_its_command() -> None:
    """Every option of it is one of `signal-monitor run`, and its watch file is one."""
    command = COMPOSE.services["monitor"].command or []
    options = [one for one in command if one.startswith("--")]
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "signal-monitor"), command[0], "--help"],
        env={"COLUMNS": "200", "NO_COLOR": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert all(option in ended.stdout for option in options)
    assert WatchFile.read(DEPLOY / "watch.yaml") is not None


def test_the_monitor_is_asked_where_it_listens() -> None:
    """Its health check and its metrics name the same port."""
    monitor = COMPOSE.services["monitor"]
    assert monitor.healthcheck is not None
    assert monitor.command is not None
    port = monitor.command[monitor.command.index("--metrics-port") + 1]
    assert f"http://127.0.0.1:{port}/healthz" in monitor.healthcheck.test[-1]


def dockerfile() -> list[list[str]]:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_built_from_what_is_there() -> None:
    """Each folder that it copies exists, is let through by the ignore file, and the wheel has all its packages."""
    copied = {source for line in dockerfile() if line[0] == "COPY" and "--from" not in line[1] for source in line[1:-1]}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored
    assert all((ROOT / source).exists() for source in copied)
    project = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[(.*)\]", project, re.MULTILINE)
    shared = re.findall(r'^"(\w+)" = "share/', project, re.MULTILINE)
    assert packages is not None
    assert {*re.findall(r'"(\w+)"', packages[1]), *shared} <= copied


def test_the_image_runs_as_nobody_special() -> None:
    """Pinned, without a password, not as root; and what is installed is what the lock names, by its digest."""
    lines = dockerfile()
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm", line[1]) for line in lines if line[0] == "FROM")
    assert [line[1] for line in lines if line[0] == "USER"] == ["10001:10001"]
    assert not re.search(r"(?i)password|secret|token", (DEPLOY / "Dockerfile").read_text())
    installs: list[Any] = [" ".join(line) for line in lines if line[0] == "RUN" and "pyproject.toml" in line]
    assert "--require-hashes -r pyproject.toml --constraints requirements.lock" in installs[0]


def test_secrets_are_not_committed() -> None:
    """Neither .env nor the folder of secrets."""
    assert {".env", "secrets/"} <= set((DEPLOY / ".gitignore").read_text().splitlines())
