"""A site whose database is on a server outside the stack: everything that works there, and what is refused.

The server is started apart from the stack, offers TLS only, and graasp-local's role there is no superuser.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from graasp_local.stack.services import GROUP_LABEL
from graasp_local.testing.ports import free_port
from tests.integration.authority import self_signed
from tests.integration.demo_site import DemoSite, wait_for
from tests.integration.external_server import HOST, PASSWORD, USER, ExternalServer, ExternalSite, running_server

_ACCESS = "SELECT coalesce(datacl::text, '') FROM pg_database WHERE datname = 'graasp'"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExternalServer]:
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(server: ExternalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExternalSite]:
    """A site that was deployed with its database on the server from the beginning."""
    site = ExternalSite(tmp_path_factory.mktemp("external") / "site", server)
    try:
        site.deploy("1.0.0")
        yield site
    finally:
        site.down()


def test_a_site_is_created_there_and_other_databases_stay_unchanged(elsewhere: ExternalSite) -> None:
    server = elsewhere.server
    assert elsewhere.status()["state"] == "running"
    assert elsewhere.status()["external_database"] == f"{HOST}:{server.port}"
    assert not [c for c in elsewhere.containers().values() if c["Config"]["Labels"].get(GROUP_LABEL) == "database"]
    owners = dict(server.ask("SELECT datname, pg_get_userbyid(datdba) FROM pg_database"))
    assert {name: owners[name] for name in ("graasp", "umami", "other_app")} == {
        "graasp": "graasp",
        "umami": "umami",
        "other_app": "postgres",
    }
    assert server.ask(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{USER}'") == [(False,)]
    tables = server.ask("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'drizzle')", "graasp")
    assert tables == [("graasp",)]
    encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname ~ 'graasp|umami'"
    assert server.ask(encrypted) == [(True,)]


def test_every_state_leaves_the_server_alone(elsewhere: ExternalSite) -> None:
    elsewhere.create_item("before the states")
    before = elsewhere.items()
    for state in ("restricted", "db-only", "stopped", "running"):
        elsewhere.run("apply", state, "--yes")
        assert elsewhere.status()["state"] == state
        assert elsewhere.items() == before
    assert "before the states" in elsewhere.item_names()


def test_a_failed_migration_is_rolled_back_with_identical_data(elsewhere: ExternalSite) -> None:
    elsewhere.create_item("must survive")
    before = elsewhere.items()
    ended = elsewhere.deploy("1.3.0-migration-fails", "--yes", code=20)
    assert (ended["outcome"], ended["state"]) == ("rolled-back", "running")
    assert elsewhere.items() == before
    assert elsewhere.status()["version"] == "1.0.0"


def test_a_copy_by_dump_restores_the_same_data(elsewhere: ExternalSite) -> None:
    before = elsewhere.items()
    elsewhere.configure(DATABASE_COPY="dump")
    try:
        plan = elsewhere.run("deploy", "--version", "1.3.0-migration-fails", "--dry-run").stdout
        assert "DATABASE_COPY is dump" in plan
        elsewhere.deploy("1.3.0-migration-fails", "--yes", code=20)
    finally:
        elsewhere.configure(DATABASE_COPY="template")
    assert elsewhere.items() == before


def test_no_other_session_writes_while_the_database_migrates(elsewhere: ExternalSite) -> None:
    """Someone who knows graasp's password, as an old core elsewhere would, writes whenever the server lets it."""
    intruder = _Intruder(elsewhere)
    with intruder.at_work():
        ended = elsewhere.deploy("1.1.0", "--yes")
    assert ended["outcome"] == "done"
    quiet_from, quiet_until = _closed_to_others(elsewhere)
    assert intruder.written
    assert intruder.refused
    assert [at for at in intruder.written if quiet_from < at < quiet_until] == []
    assert any(quiet_from < at < quiet_until for at in intruder.refused)
    written = elsewhere.server.ask("SELECT count(*) FROM item WHERE name = 'intruder'", "graasp")
    assert written == [(len(intruder.written),)]


def test_a_rollback_of_a_success_restores_the_old_database(elsewhere: ExternalSite) -> None:
    elsewhere.create_item("written since")
    count, _ = elsewhere.items()
    elsewhere.run("rollback", "--yes", code=10)
    assert elsewhere.items()[0] == count
    elsewhere.run("rollback", "--discard", "written-since", "--yes")
    assert elsewhere.status()["version"] == "1.0.0"
    assert "written since" not in elsewhere.item_names()


def test_a_backup_is_taken_tried_and_restored(elsewhere: ExternalSite) -> None:
    elsewhere.create_item("in the backup")
    before = elsewhere.items()
    elsewhere.run("backup")
    elsewhere.run("backup", "verify", "--trial-restore")
    assert elsewhere.server.ask("SELECT count(*) FROM pg_database WHERE datname ~ '_trial$'") == [(0,)]
    elsewhere.create_item("not in the backup")
    elsewhere.run("restore", "latest", "--discard", "current-data", "--yes")
    assert elsewhere.items() == before
    assert elsewhere.status()["state"] == "running"


def test_a_killed_migration_ends_legal_with_one_command(elsewhere: ExternalSite) -> None:
    before = elsewhere.items()
    command = elsewhere.start("deploy", "--version", "1.3.0-migration-hangs", "--yes", "--json")
    try:
        wait_for(elsewhere.migration_runs, "the migration runs")
    finally:
        command.kill()
        command.communicate()
    access = elsewhere.server.ask(_ACCESS)[0][0]
    assert "graasp_migration=c/graasp" in access
    elsewhere.run("rollback", "--yes")
    assert elsewhere.status()["state"] == "running"
    assert elsewhere.items() == before
    assert elsewhere.server.ask(_ACCESS) == [("{=T/graasp,graasp=CTc/graasp}",)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("upgrade-database", "--to", "16", "--yes"), 10, "The database is external"),
        (("secrets", "rotate", "POSTGRES_PASSWORD", "--yes"), 2, "the database is external"),
        (("secrets", "rotate", "DATABASE_ADMIN_PASSWORD", "--yes"), 2, "belongs to whoever runs the external database"),
        (("scale", "db=2"), 2, "only core and workers can"),
        (("logs", "db"), 2, "There is no service 'db'"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(
    elsewhere: ExternalSite, words: tuple[str, ...], code: int, said: str
) -> None:
    before = elsewhere.status()
    assert said in elsewhere.run(*words, code=code).stderr
    assert elsewhere.status() == before


def test_a_new_password_of_graasps_role_reaches_the_server(elsewhere: ExternalSite) -> None:
    old = elsewhere.setting("GRAASP_DB_PASSWORD")
    elsewhere.run("secrets", "rotate", "GRAASP_DB_PASSWORD", "--yes")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        elsewhere.server.ask("SELECT 1", "graasp", "graasp", old)
    assert elsewhere.server.ask("SELECT 1", "graasp", "graasp", elsewhere.setting("GRAASP_DB_PASSWORD")) == [(1,)]
    assert elsewhere.status()["state"] == "running"


class TestBadAddresses:
    """Each is refused by a deployment before anything is changed; the site stays as it was."""

    def refused(self, site: ExternalSite, code: int = 10, **settings: str) -> str:
        before = site.status()
        site.be_external(**settings)
        try:
            said = site.run("deploy", "--version", "1.1.0", "--yes", code=code).stderr
        finally:
            site.be_external()
        assert "Nothing was changed" in said
        assert PASSWORD not in said
        after = site.status()
        assert {key: after[key] for key in ("state", "gate", "version")} == {
            key: before[key] for key in ("state", "gate", "version")
        }
        return said

    def test_a_wrong_password(self, elsewhere: ExternalSite) -> None:
        said = self.refused(elsewhere, DATABASE_ADMIN_PASSWORD="wrong")
        assert f"rejects the password of {USER}" in said

    def test_an_authority_that_is_not_known(self, elsewhere: ExternalSite, tmp_path: Path) -> None:
        other = self_signed(tmp_path / "other", HOST).certificate
        said = self.refused(elsewhere, DATABASE_CA=str(other))
        assert "does not come from an authority in DATABASE_CA" in said

    def test_a_name_that_is_not_in_the_certificate(self, elsewhere: ExternalSite) -> None:
        elsewhere.environment["TEST_NAMES"] += f" other.provider.test={elsewhere.server.address}"
        said = self.refused(elsewhere, DATABASE_HOST="other.provider.test")
        assert "is for another name" in said

    def test_a_name_that_is_not_known(self, elsewhere: ExternalSite) -> None:
        assert "is not known" in self.refused(elsewhere, DATABASE_HOST="nowhere.invalid")

    def test_a_port_where_nothing_listens(self, elsewhere: ExternalSite) -> None:
        assert "Nothing answers at" in self.refused(elsewhere, DATABASE_PORT=str(free_port()))

    def test_a_file_that_has_no_certificates(self, elsewhere: ExternalSite) -> None:
        said = self.refused(elsewhere, code=2, DATABASE_CA=str(elsewhere.directory / ".env"))
        assert "contains no readable certificate" in said

    @pytest.mark.parametrize(
        "greeting",
        [b"J\0\0\0\n8.0.36\0\x08\0\0\0abcdefgh\0\xff\xf7", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
        ids=["mysql", "http"],
    )
    def test_a_server_of_another_kind(self, elsewhere: ExternalSite, greeting: bytes) -> None:
        with _greeting(elsewhere.server.address, greeting) as port:
            said = self.refused(elsewhere, DATABASE_PORT=str(port))
        assert "is not Postgres: it speaks another protocol" in said

    def test_a_role_that_may_not_create_databases(self, elsewhere: ExternalSite) -> None:
        elsewhere.server.ask("CREATE ROLE weak LOGIN PASSWORD 'weak-password'")
        try:
            said = self.refused(elsewhere, DATABASE_ADMIN_USER="weak", DATABASE_ADMIN_PASSWORD="weak-password")
        finally:
            elsewhere.server.ask("DROP ROLE weak")
        assert "lacks CREATEDB and CREATEROLE" in said

    def test_another_sites_data(self, elsewhere: ExternalSite, tmp_path: Path) -> None:
        other = ExternalSite(tmp_path / "other", elsewhere.server)
        try:
            said = other.run("deploy", "--version", "1.0.0", "--yes", code=10).stderr
        finally:
            other.down()
        assert "each site needs a server of its own" in said
        assert elsewhere.item_names() is not None


def test_a_site_moves_there_and_back_with_its_data(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server:
        site = ExternalSite(tmp_path / "site", server)
        try:
            site.configure(DATABASE="stack")
            site.deploy("1.0.0")
            site.create_item("on the move")
            for now, was in (("external", "the stack's own database"), ("stack", "an external database")):
                site.run("apply", "db-only", "--yes")
                site.run("backup")
                site.configure(DATABASE=now)
                for words in (("apply", "running", "--yes"), ("deploy", "--version", "1.1.0", "--yes")):
                    assert f"The site's data is in {was}" in site.run(*words, code=10).stderr
                site.run("restore", "latest", "--discard", "current-data", "--yes")
                assert site.status()["state"] == "running"
                assert site.item_names() == ["on the move"]
        finally:
            site.down()


class _Intruder:
    """Connects as graasp again and again, and writes a row each time."""

    def __init__(self, site: ExternalSite) -> None:
        self._server, self._password = site.server, site.setting("GRAASP_DB_PASSWORD")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written: list[float] = []
        self.refused: list[float] = []

    def at_work(self) -> _Intruder:
        return self

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            try:
                rows = self._server.ask(
                    "INSERT INTO item (name) VALUES ('intruder') RETURNING extract(epoch FROM now())::float8",
                    "graasp",
                    "graasp",
                    self._password,
                )
                self.written.append(float(rows[0][0]))
            except psycopg.Error:
                self.refused.append(datetime.now().astimezone().timestamp())


def _closed_to_others(site: DemoSite) -> tuple[float, float]:
    """From the end of the step that ends sessions to the beginning of the one that starts Graasp, by the journal."""
    newest = sorted((site.directory / "journal").glob("*.jsonl"))[-1]
    lines: list[dict[str, Any]] = [json.loads(line) for line in newest.read_text().splitlines()]
    ended = next(line["at"] for line in lines if line["event"] == "step-ended" and line.get("name") == "end-sessions")
    begun = next(line["at"] for line in lines if line["event"] == "step-started" and line.get("name") == "start-graasp")
    return datetime.fromisoformat(ended).timestamp(), datetime.fromisoformat(begun).timestamp()


class _greeting:  # noqa: N801 - used as a function
    """A server that greets everyone with these bytes; yields its port."""

    def __init__(self, address: str, greeting: bytes) -> None:
        self._listener = socket.create_server((address, 0))
        self._greeting = greeting
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.sendall(self._greeting)
                connection.recv(64)
