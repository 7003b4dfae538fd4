"""The Postgres module against a server of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image is in no registry that must be in reach

from testcontainers.community.postgres import PostgresContainer

from graasp_local.errors import NeedsYou
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.postgres.address import accepts_connections
from graasp_local.postgres.database import PostgresDatabase
from graasp_local.postgres.databases import PostgresDatabases

IMAGE = "localhost/graasp-demo/postgres:15"
PASSWORD = "a-test-password"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresContainer]:
    with PostgresContainer(IMAGE, username="postgres", password=PASSWORD, dbname="graasp", driver=None) as server:
        yield server


@pytest.fixture
def database(server: PostgresContainer) -> PostgresDatabase:
    return PostgresDatabase(lambda: (server.get_container_host_ip(), int(server.get_exposed_port(5432))), PASSWORD)


def connect(server: PostgresContainer) -> psycopg.Connection:
    return psycopg.connect(server.get_connection_url(), autocommit=True)


def test_a_database_without_drizzles_table_has_no_migrations_and_logs_no_error(
    server: PostgresContainer, database: PostgresDatabase
) -> None:
    with connect(server) as connection:
        connection.execute("DROP SCHEMA IF EXISTS drizzle CASCADE")
    assert database.applied_migrations() == ()
    assert b"__drizzle_migrations" not in server.get_logs()[1]


def test_applied_migrations_are_read_oldest_first(server: PostgresContainer, database: PostgresDatabase) -> None:
    with connect(server) as connection:
        connection.execute("CREATE SCHEMA drizzle")
        connection.execute(
            "CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)"
        )
        connection.execute("INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('b', 20), ('a', 10)")
    assert database.applied_migrations() == (AppliedMigration(10, "a"), AppliedMigration(20, "b"))


def test_the_subscriptions_of_graasps_database_are_named_and_no_others(
    server: PostgresContainer, database: PostgresDatabase
) -> None:
    create = "CREATE SUBSCRIPTION {} CONNECTION 'host=nowhere dbname=x' PUBLICATION p WITH (connect = false)"
    with connect(server) as connection:
        connection.execute("CREATE DATABASE other")
        assert database.subscriptions() == ()
        connection.execute(create.format("ours"))
        with psycopg.connect(server.get_connection_url().replace("/graasp", "/other"), autocommit=True) as other:
            other.execute(create.format("theirs"))
        assert database.subscriptions() == ("ours",)
        for each in ("DISABLE", "SET (slot_name = NONE)"):
            connection.execute(f"ALTER SUBSCRIPTION ours {each}")
        connection.execute("DROP SUBSCRIPTION ours")
    assert database.subscriptions() == ()


def test_what_only_a_superuser_may_create_is_named_and_nothing_else(server: PostgresContainer) -> None:
    address = (server.get_container_host_ip(), int(server.get_exposed_port(5432)))
    with connect(server) as connection:
        connection.execute("CREATE DATABASE odd")
    with psycopg.connect(server.get_connection_url().replace("/graasp", "/odd"), autocommit=True) as odd:
        odd.execute("CREATE EXTENSION pg_trgm; CREATE EXTENSION citext; CREATE EXTENSION hstore")
        odd.execute("CREATE TYPE span AS RANGE (subtype = int4); CREATE TYPE mood AS ENUM ('fine')")
        odd.execute("CREATE DOMAIN small AS int; CREATE TABLE a (b int, c mood[]); CREATE TYPE pair AS (x int, y text)")
        odd.execute("CREATE FUNCTION usual(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")
        odd.execute("CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int4)")
        odd.execute("CREATE CAST (int AS pair) WITH INOUT")
        odd.execute("CREATE OPERATOR #=# (LEFTARG = int, FUNCTION = int4eq, RIGHTARG = int)")
        databases = PostgresDatabases(lambda: address, PASSWORD)
        assert databases.only_superusers("odd") == ()
        odd.execute("CREATE FUNCTION leaky(int) RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT $1'")
        odd.execute("CREATE FUNCTION inner_one(text) RETURNS int LANGUAGE internal AS 'textlen'")
        odd.execute("CREATE OPERATOR CLASS mine FOR TYPE int4 USING btree AS OPERATOR 3 =")
        assert databases.only_superusers("odd") == (
            "function public.inner_one(text) (LANGUAGE internal)",
            "function public.leaky(integer) (LEAKPROOF)",
            "operator class mine",
        )


def test_other_sessions_of_graasps_database_are_ended_and_no_others(
    server: PostgresContainer, database: PostgresDatabase
) -> None:
    with connect(server) as connection:
        connection.execute("CREATE DATABASE umami")
    umami_url = server.get_connection_url().replace("/graasp", "/umami")
    with psycopg.connect(umami_url, autocommit=True) as umami:
        graasp = connect(server)
        assert database.end_other_sessions() == 1
        with pytest.raises(psycopg.OperationalError):
            graasp.execute("SELECT 1")
        assert umami.execute("SELECT 1").fetchone() == (1,)


def test_the_size_is_in_bytes(database: PostgresDatabase) -> None:
    assert database.size_bytes() > 1_000_000


def test_a_wrong_password_is_reported_as_one(server: PostgresContainer) -> None:
    wrong = PostgresDatabase(lambda: (server.get_container_host_ip(), int(server.get_exposed_port(5432))), "wrong")
    with pytest.raises(NeedsYou) as failed:
        wrong.applied_migrations()
    assert "POSTGRES_PASSWORD" in failed.value.next_step


def test_a_server_accepts_connections_or_not_whatever_the_password(server: PostgresContainer) -> None:
    assert accepts_connections(server.get_container_host_ip(), int(server.get_exposed_port(5432))) is True
    assert accepts_connections("127.0.0.1", 1) is False


def test_a_server_that_is_not_running_is_reported_so(server: PostgresContainer) -> None:
    with pytest.raises(NeedsYou, match="does not answer"):
        PostgresDatabase(lambda: ("127.0.0.1", 1), PASSWORD).applied_migrations()


NAME = "graasp_snapshot_0001_20260101_000000_deploy_1_1_0"


@pytest.fixture
def graasp(server: PostgresContainer) -> Iterator[PostgresContainer]:
    """A database with an owner of its own and one row; copies of it are removed afterwards."""
    with connect(server) as connection:
        connection.execute("DROP TABLE IF EXISTS item")
        connection.execute("CREATE TABLE item (name text)")
        connection.execute("INSERT INTO item VALUES ('before')")
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'graasp'").fetchone():
            connection.execute("CREATE ROLE graasp LOGIN")
    yield server
    with psycopg.connect(server.get_connection_url().replace("/graasp", "/postgres"), autocommit=True) as connection:
        for name in names(server):
            if name.startswith("graasp_"):
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def names(server: PostgresContainer) -> set[str]:
    with connect(server) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def rows(server: PostgresContainer, database: str = "graasp") -> list[str]:
    with psycopg.connect(server.get_connection_url().replace("/graasp", f"/{database}")) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM item ORDER BY name")]


def test_a_snapshot_is_swapped_back_and_the_other_database_is_kept(
    graasp: PostgresContainer, database: PostgresDatabase
) -> None:
    database.end_other_sessions()
    database.take_snapshot(NAME)
    assert database.has_snapshot(NAME)
    with connect(graasp) as connection:
        connection.execute("UPDATE item SET name = 'damaged'")
    database.end_other_sessions()
    failed = database.swap_back(NAME)
    assert failed == NAME.replace("snapshot", "failed")
    assert (rows(graasp), rows(graasp, failed)) == (["before"], ["damaged"])
    assert not database.has_snapshot(NAME)


def test_swapping_back_twice_equals_swapping_back_once(graasp: PostgresContainer, database: PostgresDatabase) -> None:
    database.take_snapshot(NAME)
    assert database.swap_back(NAME) == database.swap_back(NAME)
    assert rows(graasp) == ["before"]


def test_a_missing_snapshot_is_reported_and_nothing_is_renamed(
    graasp: PostgresContainer, database: PostgresDatabase
) -> None:
    with pytest.raises(NeedsYou, match="There is no snapshot"):
        database.swap_back(NAME)
    assert rows(graasp) == ["before"]


def test_a_snapshot_of_a_database_in_use_is_refused(graasp: PostgresContainer, database: PostgresDatabase) -> None:
    with connect(graasp), pytest.raises(NeedsYou, match="being accessed by other users"):
        database.take_snapshot(NAME)
    assert NAME not in names(graasp)


def test_a_half_made_copy_of_an_earlier_attempt_is_replaced(
    graasp: PostgresContainer, database: PostgresDatabase
) -> None:
    database.take_snapshot(NAME)
    with connect(graasp) as connection:
        connection.execute("UPDATE item SET name = 'newer'")
    database.end_other_sessions()
    database.take_snapshot(NAME)
    assert rows(graasp, NAME) == ["newer"]


def test_only_copies_of_other_operations_are_removed(graasp: PostgresContainer, database: PostgresDatabase) -> None:
    other = NAME.replace("0001", "0002")
    database.take_snapshot(NAME)
    database.take_snapshot(other)
    assert database.drop_snapshots_but(other) == (NAME,)
    assert {other, "graasp"} <= names(graasp)


def test_a_second_migration_of_the_same_server_is_kept_out(database: PostgresDatabase) -> None:
    with (
        database.migration_lock(),
        pytest.raises(NeedsYou, match="Another graasp-local is migrating"),
        database.migration_lock(),
    ):
        pass
    with database.migration_lock():
        pass


def test_rows_that_came_after_a_snapshot_are_counted_by_table(
    server: PostgresContainer, database: PostgresDatabase
) -> None:
    with connect(server) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute('CREATE TABLE item (id int); CREATE TABLE "Odd name" (id int)')
        connection.execute("INSERT INTO item SELECT generate_series(1, 100)")
        connection.execute('INSERT INTO "Odd name" SELECT generate_series(1, 10)')
    database.end_other_sessions()
    database.take_snapshot("graasp_snapshot_rows")
    with connect(server) as connection:
        connection.execute("CREATE TABLE later (id int); INSERT INTO later VALUES (1), (2)")
        connection.execute('INSERT INTO item SELECT generate_series(101, 105); DELETE FROM "Odd name"')
    # What was deleted since does not hide what was added.
    assert database.rows_added_since("graasp_snapshot_rows") == 7
    with connect(server) as connection:
        connection.execute('DROP TABLE item, "Odd name", later')
    database.drop_snapshots_but("none")


def test_a_snapshot_of_a_database_with_changed_collations_is_taken_and_the_change_reported(
    server: PostgresContainer, database: PostgresDatabase
) -> None:
    url = server.get_connection_url().replace("/graasp", "/postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'graasp'").fetchone():
            connection.execute("CREATE ROLE graasp LOGIN")
        connection.execute("DROP DATABASE graasp WITH (FORCE)")
        connection.execute(
            "CREATE DATABASE graasp OWNER graasp TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-CH'"
        )
        assert database.collation_changes() == ()
        # As after an image with a newer ICU.
        connection.execute("UPDATE pg_database SET datcollversion = '1.1' WHERE datname IN ('graasp', 'template1')")
        assert [(change.database, change.was) for change in database.collation_changes()][:1] == [("graasp", "1.1")]
        database.take_snapshot(NAME)
        database.swap_back(NAME)
        kept = connection.execute("SELECT datcollversion, daticulocale FROM pg_database WHERE datname = 'graasp'")
        assert kept.fetchone() == ("1.1", "de-CH")
        assert database.make_database("etherpad", "a password")
        connection.execute("ALTER DATABASE graasp REFRESH COLLATION VERSION")
        assert "graasp" not in [change.database for change in database.collation_changes()]
        connection.execute("DROP DATABASE etherpad")
        connection.execute("DROP ROLE etherpad")
