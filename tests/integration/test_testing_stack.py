"""graasp_local.testing's stack: one from beginning to end, and what is left when it goes wrong or is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image is in no registry that must be in reach

from testcontainers.core.container import DockerContainer
from testcontainers.core.labels import SESSION_ID
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy

from graasp_local.engine.compose.belongings import belongings
from graasp_local.engine.reach.client import connect
from graasp_local.errors import (
    ConfigurationError,
    EngineUnreachable,
    GraaspLocalError,
    NeedsYou,
    Refused,
    UsageError,
)
from graasp_local.journal.events import Outcome, StepStarted
from graasp_local.testing import GraaspStack, OperationFailed
from graasp_local.testing.claims import Claims
from graasp_local.testing.cleaning import remove_orphans
from graasp_local.testing.recipe import CLAIM_LABEL
from tests.integration.demo_site import COMMAND, wait_for

OWN = {
    "services": {
        "core": {"environment": {"MY_VARIABLE": "mine"}},
        "own": {
            "image": "localhost/graasp-demo/redis:7",
            "labels": {"org.graasp.group": "graasp"},
            "networks": ["back"],
        },
    }
}


def on_engine(claims: Claims) -> set[tuple[str, str]]:
    """Kind and id of what the engine has of stacks whose claims are in this directory."""
    return {
        (item.kind, item.id)
        for item in belongings(CLAIM_LABEL)
        if item.labels[CLAIM_LABEL].startswith(str(claims.root))
    }


def nothing_is_left(claims: Claims) -> bool:
    return on_engine(claims) == set() and [path for path in claims.root.glob("*") if path.is_dir()] == []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Claims]:
    """Claims of this module alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", str(tmp_path_factory.mktemp("stacks")))
        patched.setattr("tempfile.tempdir", None)
        yield Claims()


@pytest.fixture(scope="module")
def network(place: Claims) -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "site"


@pytest.fixture(scope="module")
def stack(place: Claims, network: Network, site: Path) -> Iterator[GraaspStack]:
    stack = (
        GraaspStack()
        .with_version("1.0.0")
        .with_env("LOG_LEVEL", "debug")
        .with_override(OWN)
        .with_images(umami="localhost/graasp-demo/umami:3")
        .with_profiles("mailpit")
        .with_network(network)
        .with_site(site)
        .waiting_for(HttpWaitStrategy(80, "/health").for_status_code(200))
    )
    with stack:
        yield stack


def test_it_is_running_and_answers(stack: GraaspStack) -> None:
    assert (stack.state, stack.version) == ("running", "1.0.0")
    assert requests.get(f"{stack.get_url()}/api/items", timeout=10).json() == []
    assert {"core", "own", "mailpit"} <= {name for name, service in stack.services.items() if service.is_on}
    assert requests.get(f"{stack.get_service_url('umami')}/api/heartbeat", timeout=10).status_code == 200
    assert requests.get(f"{stack.get_service_url('mailpit')}/readyz", timeout=10).status_code == 200
    with pytest.raises(UsageError, match="redis publishes no port"):
        stack.get_service_url("redis")


@pytest.mark.parametrize(("name", "user"), [("graasp", "graasp"), ("umami", "umami"), ("postgres", "postgres")])
def test_its_databases_are_reached_as_their_owners(stack: GraaspStack, name: str, user: str) -> None:
    for address, role in (
        (stack.get_database_url(name), user),
        (stack.get_database_url(name, superuser=True), "postgres"),
    ):
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT current_database(), current_user").fetchone() == (name, role)


def test_settings_and_override_are_in_the_containers(stack: GraaspStack) -> None:
    output = stack.exec("core", ["sh", "-c", "echo $MY_VARIABLE $LOG_LEVEL; exit 3"])
    assert (output.exit_code, output.output.split()) == (3, [b"mine", b"debug"])
    assert "Server listening" in stack.logs("core")
    assert stack.exec("redis", ["id", "-u"]).output != b"0\n"
    assert stack.exec("redis", ["id", "-u"], user="0").output == b"0\n"
    with pytest.raises(UsageError, match=r"no service cor\. Did you mean core"):
        stack.logs("cor")


def test_everything_of_it_has_testcontainers_session(stack: GraaspStack, place: Claims) -> None:
    project = stack.site.settings.project
    found = belongings(f"com.docker.compose.project={project}")
    assert {item.kind for item in found} == {"container", "volume", "network"}
    assert {item.labels["org.testcontainers.session-id"] for item in found} == {SESSION_ID}
    assert {(item.kind, item.id) for item in found} == on_engine(place)


def test_others_in_its_network_find_it(stack: GraaspStack, network: Network) -> None:
    ask = ["curl", "-fsS", "http://graasp/api/items"]
    asking = DockerContainer("localhost/graasp-demo/base:bookworm").with_network(network)
    with asking.with_kwargs(entrypoint=["sleep", "60"]) as other:
        exit_code, output = other.exec(ask)
    assert (exit_code, output) == (0, b"[]")
    with pytest.raises(UsageError, match="Another stack is in the network"):
        GraaspStack().with_network(network).start()


def test_it_changes_its_state(stack: GraaspStack) -> None:
    closed = stack.apply("restricted")
    assert (closed.outcome, closed.state, stack.state) == (Outcome.DONE, "restricted", "restricted")
    url = f"{stack.get_url()}/api/items"
    assert requests.get(url, timeout=10).status_code == 503
    assert requests.get(url, headers=stack.get_bypass_headers(), timeout=10).status_code == 200
    assert stack.apply("running").state == stack.state == "running"


def test_a_reset_restores_rows_and_state(stack: GraaspStack) -> None:
    with pytest.raises(UsageError, match="no snapshot"):
        stack.reset()
    url, umami = f"{stack.get_url()}/api/items", stack.get_database_url("umami")
    kept = requests.post(url, json={"name": "kept"}, timeout=10).json()
    stack.snapshot()
    core = stack.get_wrapped_container().attrs["State"]["StartedAt"]
    requests.post(url, json={"name": "more"}, timeout=10)
    with psycopg.connect(stack.get_database_url(), autocommit=True) as connection:
        connection.execute("UPDATE item SET name = 'changed' WHERE name = 'kept'")
    with psycopg.connect(umami, autocommit=True) as connection:
        connection.execute("INSERT INTO website_event (at) VALUES (now())")
    stack.apply("restricted")
    stack.reset()
    assert stack.state == "running"
    assert requests.get(url, timeout=10).json() == [kept]
    with psycopg.connect(umami) as connection:
        assert connection.execute("SELECT count(*) FROM website_event").fetchone() == (0,)
    assert stack.get_wrapped_container().attrs["State"]["StartedAt"] == core  # it stayed connected


_TABLES = """
CREATE TYPE colour AS ENUM ('red', 'blue');
CREATE TABLE parent (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, colour colour DEFAULT 'red',
  loud text GENERATED ALWAYS AS (upper(name)) STORED
);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent uuid REFERENCES parent ON DELETE CASCADE);
CREATE TABLE keyless (number int);
INSERT INTO parent (name) SELECT 'name ' || n FROM generate_series(1, 50) n;
INSERT INTO child (parent) SELECT id FROM parent;
INSERT INTO keyless VALUES (1), (1), (2);
"""
_CHANGES = """
DELETE FROM parent WHERE name < 'name 3'
UPDATE parent SET name = name || '!', colour = 'blue' WHERE name > 'name 4'
DELETE FROM child; UPDATE parent SET id = gen_random_uuid() WHERE name = 'name 1'
INSERT INTO child (parent) SELECT id FROM parent LIMIT 3
TRUNCATE parent CASCADE
INSERT INTO keyless VALUES (1)
DELETE FROM keyless WHERE number = 2
UPDATE keyless SET number = number
SELECT 1
""".strip().splitlines()


def test_a_reset_undoes_whatever_a_test_does_to_rows(stack: GraaspStack) -> None:
    with psycopg.connect(stack.get_database_url(superuser=True), autocommit=True) as connection:

        def rows() -> list[list[str]]:
            tables = ("parent", "child", "keyless")
            asked = [f"SELECT {name}::text FROM {name} ORDER BY 1" for name in tables]
            asked.append("SELECT last_value::text FROM child_id_seq")
            return [[row for (row,) in connection.execute(text.encode()).fetchall()] for text in asked]

        try:
            connection.execute(_TABLES)
            stack.snapshot()
            before = rows()
            for change in _CHANGES:
                connection.execute(change.encode())
                stack.reset()
                assert rows() == before, change
            connection.execute("ALTER TABLE parent ADD COLUMN more text")
            with pytest.raises(NeedsYou, match="have changed since the snapshot"):
                stack.reset()
        finally:
            connection.execute(
                "DROP SCHEMA graasp_testing CASCADE; DROP TABLE child, parent, keyless; DROP TYPE colour"
            )
    stack.snapshot()


def test_a_reset_restores_the_version(stack: GraaspStack) -> None:
    url = f"{stack.get_url()}/api/items"
    before = requests.get(url, timeout=10).json()
    stack.deploy("1.1.0")
    requests.post(url, json={"name": "with 1.1.0"}, timeout=10)
    stack.apply("stopped")
    stack.reset()
    assert (stack.state, stack.version) == ("running", "1.0.0")
    assert requests.get(url, timeout=10).json() == before


def test_what_is_reported_when_a_test_fails(stack: GraaspStack) -> None:
    said = stack.describe()
    assert said.startswith("state running, gate open, version 1.0.0\nlast operation: ")
    assert "Server listening" in said


def test_a_deployment_that_fails_says_why_and_a_good_one_can_be_rolled_back(stack: GraaspStack) -> None:
    with pytest.raises(OperationFailed) as caught:
        stack.deploy("1.3.0-migration-fails")
    assert caught.value.operation.outcome is Outcome.ROLLED_BACK
    assert "The last lines of the journal:" in str(caught.value)
    assert "  ✗ migrate" in str(caught.value)
    assert (stack.state, stack.version) == ("running", "1.0.0")
    done = stack.deploy("1.1.0", drain_limit=1.0)
    assert (done.outcome, done.version, stack.version) == (Outcome.DONE, "1.1.0", "1.1.0")
    assert any(isinstance(event, StepStarted) and event.name.startswith("open") for event in done.events)
    assert (stack.rollback().version, stack.version) == ("1.0.0", "1.0.0")


def test_the_process_keeps_its_environment(stack: GraaspStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "mine")  # Compose would take it for the stack's
    before = dict(os.environ)
    stack.apply("running")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (GraaspStack().with_version("9.9.9"), "Not available"),
        (GraaspStack().with_override({"services": {"core": {"imagee": "x"}}}), "imagee"),
        (GraaspStack().with_override({"servicess": {}}), "servicess"),
        (GraaspStack().with_override({"services": {"own": {"image": "x"}}}), "has no group"),
        (GraaspStack().with_env("LOGLEVEL", "debug"), "Did you mean LOG_LEVEL"),
        (GraaspStack().with_env("PUBLIC_URL", "nowhere"), "PUBLIC_URL"),
        (GraaspStack().with_images(cor="mine"), "Did you mean core"),
        (GraaspStack().with_images(core="localhost/not-there:1"), "Not available"),
        (
            GraaspStack().with_version("1.1.0").with_images(repository="localhost/not-there/graasp"),
            "The engine has no version of",
        ),
        (GraaspStack().with_profiles("mailpitt"), "Did you mean mailpit"),
        (GraaspStack().with_network("not-there"), "no network not-there"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_before_anything_is_started(broken: GraaspStack, said: str, place: Claims) -> None:
    before = on_engine(place)
    stacks = {path for path in place.root.glob("*") if path.is_dir()}
    with pytest.raises((Refused, ConfigurationError, UsageError)) as refused:
        broken.start()
    assert said in " ".join(refused.value.sentences)
    assert on_engine(place) == before
    assert {path for path in place.root.glob("*") if path.is_dir()} == stacks


def test_a_port_that_is_taken_is_refused_before_anything_is_started(place: Claims) -> None:
    before = on_engine(place)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(Refused, match=f"Port {port} is in use"):
            GraaspStack().with_version("1.0.0").with_env("HTTP_PORT", port).start()
    assert on_engine(place) == before


def test_a_machine_without_free_ports_is_refused_before_anything_is_started(place: Claims) -> None:
    """In a network of its own, with room for fewer ports than a stack needs; the engine is the machine's."""
    before = on_engine(place)
    script = "from graasp_local.testing import GraaspStack; GraaspStack().with_version('1.0.0').start()"
    narrow = 'ip link set lo up && echo 40000 40003 >/proc/sys/net/ipv4/ip_local_port_range && exec $0 -c "$1"'
    words = ["unshare", "--net", "sh", "-ec", narrow, sys.executable, script]
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env"]
    said = subprocess.run([*as_root, *words], capture_output=True, text=True).stderr
    assert "Too few ports of this machine are free" in said
    assert "of 40000 to 40003, and there are 4 left" in said
    assert on_engine(place) == before


def test_without_an_engine_nothing_is_made(place: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    directories = {path for path in place.root.glob("*") if path.is_dir()}
    monkeypatch.setenv("DOCKER_HOST", "unix:///nobody/listens.sock")
    with pytest.raises(EngineUnreachable):
        GraaspStack().with_version("1.0.0").start()
    assert {path for path in place.root.glob("*") if path.is_dir()} == directories


def test_a_site_of_another_user_is_left_alone(stack: GraaspStack, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=theirs\n")
    for directory in (tmp_path, stack.site.directory):
        with pytest.raises(ConfigurationError, match="is already a site"):
            GraaspStack().with_site(directory).start()
    assert (tmp_path / ".env").read_text() == "COMPOSE_PROJECT_NAME=theirs\n"


def test_stopping_takes_everything_but_the_site_that_was_to_be_kept(
    stack: GraaspStack, site: Path, place: Claims
) -> None:
    project = stack.site.settings.project
    stack.stop()
    assert nothing_is_left(place)
    assert connect().images.list(name=f"graasp-local/{project}") == []
    assert list((site / "journal").glob("*deploy-1.0.0*"))
    stack.stop()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-tmpdir", "other-tmpdir"])
def test_what_a_killed_run_left_is_removed_by_the_next(place: Claims, tmp_path: Path, elsewhere: bool) -> None:
    made = Claims(tmp_path / place.root.name) if elsewhere else place
    script = "from graasp_local.testing import GraaspStack; GraaspStack().with_version('1.0.0').start()"
    environment = {**os.environ, "TMPDIR": str(made.root.parent)}
    killed = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        # In the middle: some of it is there, and a Compose is on its way to make more.
        wait_for(lambda: "volume" in dict(on_engine(made)), "the stack is being made")
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    # A test that runs at the same time may be the next that starts a stack, and remove it.
    remove_orphans(place)
    wait_for(lambda: nothing_is_left(made), "nothing of it is left", 60)


def test_a_stack_that_was_not_stopped_is_removed_when_the_interpreter_ends(place: Claims) -> None:
    before = on_engine(place)
    script = "from graasp_local.testing import GraaspStack; GraaspStack().with_version('1.0.0').start()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert on_engine(place) == before


def test_without_a_site_it_says_what_to_do(place: Claims) -> None:
    with pytest.raises(Refused) as refused:
        GraaspStack().with_version("9.9.9").start()
    assert "1.0.0" in refused.value.next_step
    with pytest.raises(ConfigurationError) as wrong:
        GraaspStack().with_override({"services": {"core": {"imagee": "x"}}}).start()
    assert "with_override" in wrong.value.next_step
    assert nothing_is_left(place)


def test_an_idle_stack_is_taken_over_as_it_was(place: Claims) -> None:
    def made(version: str = "1.0.0") -> GraaspStack:
        return GraaspStack().with_version(version).with_reuse()

    with made() as first:
        project, url = first.site.settings.project, f"{first.get_url()}/api/items"
        requests.post(url, json={"name": "left over"}, timeout=10)
    with made() as second:
        assert second.site.settings.project == project
        assert requests.get(url, timeout=10).json() == []
        assert [claim.record.project for claim in place.left()] == []  # it is in use
        second.snapshot()  # of its own: the next run would not find what was made
    assert nothing_is_left(place)


def test_a_kept_stack_is_there_until_it_is_cleaned_up(place: Claims) -> None:
    stack = GraaspStack().with_version("1.0.0").with_state("db-only").with_keeping().start()
    site = stack.site.directory
    assert stack.keep() == f"graasp-local --site {site} status"
    remove_orphans(place)
    told = subprocess.run([*COMMAND, "--site", str(site), "status", "--json"], capture_output=True, text=True)
    assert json.loads(told.stdout)["state"] == "db-only"
    left = [sys.executable, "-m", "graasp_local.testing"]
    assert "kept" in subprocess.run(left, capture_output=True, text=True).stdout
    assert "removed gltest-" in subprocess.run([*left, "--clean"], capture_output=True, text=True).stdout
    assert nothing_is_left(place)


def test_a_stack_whose_claim_was_deleted_is_removed_too(place: Claims) -> None:
    client = connect()
    labels = {CLAIM_LABEL: str(place.root / "gone"), "org.graasp.testing.host": os.uname().nodename}
    client.api.create_volume("gltest-gone", labels={**labels, "com.docker.compose.project": "gltest-gone"})
    client.api.create_container("localhost/graasp-demo/nginx:1.22", labels=labels)
    remove_orphans(place)
    assert nothing_is_left(place)


def test_an_error_has_all_details() -> None:
    with pytest.raises(GraaspLocalError) as caught:
        GraaspStack().with_env("COMPOSE_PROJECT_NAME", "mine").start()
    assert any("with_profiles" in note for note in caught.value.__notes__)
