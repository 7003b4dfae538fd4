"""A whole server and its copy on a newer major: what the fingerprint sees, and that it sees what is not the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psycopg
import pytest

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image is in no registry that must be in reach

from testcontainers.community.postgres import PostgresContainer

from graasp_local.errors import NeedsYou
from graasp_local.planning.fingerprint import differences
from graasp_local.ports.data import OWN_SESSION
from graasp_local.postgres.database import PostgresDatabase
from graasp_local.postgres.databases import PostgresDatabases
from graasp_local.postgres.server import PostgresServer

PASSWORD = "a-test-password"
CONTENTS = """
CREATE ROLE graasp LOGIN PASSWORD 'graasp-password';
CREATE ROLE reader NOLOGIN;
GRANT reader TO graasp;
ALTER ROLE graasp SET statement_timeout = '5min';
CREATE DATABASE graasp OWNER graasp;
REVOKE CONNECT ON DATABASE graasp FROM PUBLIC;
\\connect graasp
SET ROLE graasp;
CREATE EXTENSION ltree; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION citext;
CREATE SCHEMA drizzle;
CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text, created_at bigint);
INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('a', 1), ('b', 2);
CREATE TYPE kind AS ENUM ('folder', 'file');
CREATE TABLE item (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), path ltree UNIQUE, name citext NOT NULL, kind kind, size float,
  at timestamptz DEFAULT now(), document jsonb, picture bytea, search tsvector, name_length int
  GENERATED ALWAYS AS (length(name)) STORED, parent uuid REFERENCES item);
CREATE INDEX item_path ON item USING gist (path);
CREATE VIEW folders AS SELECT * FROM item WHERE kind = 'folder';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at = now(); RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
GRANT SELECT ON item TO reader;
INSERT INTO item (path, name, kind, size, document, picture, search)
  SELECT n::text::ltree, 'Name ' || n, 'file', n / 3.0, jsonb_build_object('n', n), decode(md5(n::text), 'hex'),
         to_tsvector('english', 'word ' || n) FROM generate_series(1, 200) n;
CREATE SEQUENCE never_used;
"""


def run(server: PostgresContainer, *words: str) -> None:
    done = server.get_wrapped_container().exec_run(["sh", "-c", *words])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def old() -> Iterator[PostgresContainer]:
    with PostgresContainer(
        "localhost/graasp-demo/postgres:15", username="postgres", password=PASSWORD, dbname="postgres", driver=None
    ) as server:
        run(server, "printf '%s' \"$0\" | psql -qX -v ON_ERROR_STOP=1 -U postgres", CONTENTS)
        yield server


@pytest.fixture(scope="module")
def new(old: PostgresContainer) -> Iterator[PostgresContainer]:
    """A server of 17 that was filled as an upgrade fills it."""
    with PostgresContainer(
        "localhost/graasp-demo/postgres:17", username="postgres", password=PASSWORD, dbname="postgres", driver=None
    ) as server:
        contents(server).make_empty()
        old.get_wrapped_container().reload()
        address = old.get_wrapped_container().attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        run(
            server,
            "export PGPASSWORD=$POSTGRES_PASSWORD PGUSER=postgres; set -e\n"
            "pg_dumpall --roles-only -h $0 | sed '/^CREATE ROLE postgres;$/d' | psql -qX -v ON_ERROR_STOP=1\n"
            "pg_dump -Fc -h $0 graasp >/tmp/dump; pg_restore --exit-on-error --create -d postgres /tmp/dump",
            address,
        )
        yield server


def contents(server: PostgresContainer) -> PostgresServer:
    return PostgresServer(lambda: (server.get_container_host_ip(), int(server.get_exposed_port(5432))), PASSWORD)


def test_a_copy_on_a_newer_major_is_the_same(old: PostgresContainer, new: PostgresContainer) -> None:
    before, after = contents(old).fingerprint(), contents(new).fingerprint()
    assert differences(before, after) == ()
    graasp = after.databases["graasp"]
    assert (graasp.tables, graasp.rows) == (2, 202)
    assert set(graasp.extensions) == {"plpgsql", "ltree", "uuid-ossp", "citext"}
    assert PASSWORD not in str(before)


SPOILED = [
    ("UPDATE item SET size = size + 1e-9 WHERE path = '7'", "content of public.item"),
    ("DELETE FROM item WHERE path = '7'", "content of public.item"),
    ("UPDATE drizzle.__drizzle_migrations SET hash = 'c' WHERE id = 2", "content of drizzle.__drizzle_migrations"),
    ("SELECT nextval('never_used')", "value of public.never_used"),
    ("ALTER TABLE item OWNER TO postgres", "table public.item"),
    ("DROP INDEX item_path", "index public.item_path is missing"),
    ("ALTER TABLE item ALTER name DROP NOT NULL", "table public.item"),
    ("ALTER TABLE item DISABLE TRIGGER touched", "trigger public.item.touched"),
    ("REVOKE SELECT ON item FROM reader", "table public.item"),
    ("DROP FUNCTION touch CASCADE", "function public.touch() is missing"),
    ("DROP EXTENSION citext CASCADE", "extension citext is missing"),
    ("ALTER TYPE kind ADD VALUE 'more'", "enum public.kind"),
    ("ALTER ROLE graasp PASSWORD 'another'", "role graasp"),
    ("REVOKE reader FROM graasp", "role graasp"),
    ("GRANT CONNECT ON DATABASE graasp TO PUBLIC", "the database itself"),
    ("SELECT lo_from_bytea(0, 'x')", "large objects"),
    ("CREATE TABLE more ()", "table public.more was not there before"),
]


def test_every_difference_is_reported(old: PostgresContainer, new: PostgresContainer) -> None:
    before, known = contents(old).fingerprint(), set[str]()
    for statement, said in SPOILED:
        with psycopg.connect(new.get_connection_url(), dbname="graasp", autocommit=True) as connection:
            connection.execute(statement.encode())
        found = set(differences(before, contents(new).fingerprint()))
        assert any(said in sentence for sentence in found - known), (statement, found - known)
        known = found


def test_the_copies_of_deployments_stay_behind_and_that_is_reported(old: PostgresContainer) -> None:
    with psycopg.connect(old.get_connection_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE graasp_snapshot_0001")
        connection.execute("ALTER SYSTEM SET log_min_duration_statement = '5s'")
        assert "graasp_snapshot_0001" not in contents(old).sizes()
        assert set(contents(old).left_behind()) == {
            "the copy graasp_snapshot_0001",
            "the server's setting log_min_duration_statement = 5s",
        }
        connection.execute("DROP DATABASE graasp_snapshot_0001")
        connection.execute("ALTER SYSTEM RESET log_min_duration_statement")


def test_what_would_not_work_on_the_newer_server_is_found(old: PostgresContainer) -> None:
    assert contents(old).problems() == ()
    with psycopg.connect(old.get_connection_url(), autocommit=True) as connection:
        connection.execute("SET password_encryption = 'md5'")
        connection.execute("CREATE ROLE veteran LOGIN PASSWORD 'x'")
        assert "The password of the role veteran is stored as an md5 hash" in contents(old).problems()[0]
        connection.execute("DROP ROLE veteran")


def test_extensions_in_use_are_listed_with_their_databases(old: PostgresContainer) -> None:
    used = contents(old).extensions_in_use()
    assert list(used["ltree"]) == ["graasp"]
    assert set(used) <= contents(old).extensions_available()


LIMITS = (
    "transaction_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
    "lock_timeout",
)


def test_limits_of_time_for_a_role_a_database_and_the_server_end_no_session_of_ours(new: PostgresContainer) -> None:
    """Of 17, which knows all of them; milliseconds stand for a large database."""

    def address() -> tuple[str, int]:
        return new.get_container_host_ip(), int(new.get_exposed_port(5432))

    database, databases = PostgresDatabase(address, PASSWORD), PostgresDatabases(address, PASSWORD)
    without_limits = " ".join(f"-c {limit}=0" for limit in LIMITS)
    with psycopg.connect(new.get_connection_url(), autocommit=True, options=without_limits) as connection:
        places = ("ROLE postgres", "DATABASE graasp", "DATABASE postgres", "SYSTEM")
        try:
            for place in places:
                for limit in LIMITS:
                    connection.execute(f"ALTER {place} SET {limit} = '300ms'".encode())
            connection.execute("SELECT pg_reload_conf()")
            with databases.view("graasp") as view:
                time.sleep(1)  # a session that is idle in its transaction, as while pg_dump works
                run(
                    new,
                    f"PGOPTIONS='{OWN_SESSION}' pg_dump -U postgres -Fc --snapshot={view.snapshot} graasp >/dev/null",
                )
            with database.migration_lock():
                time.sleep(1)  # one that is idle outside of any
                with pytest.raises(NeedsYou, match="Another graasp-local"), database.migration_lock():
                    pass
            assert [limit for _, limit, _ in databases.properties("graasp").settings] == sorted(LIMITS)
        finally:
            for place in places:
                connection.execute(f"ALTER {place} RESET ALL".encode())
            connection.execute("SELECT pg_reload_conf()")
