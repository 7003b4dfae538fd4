"""The Postgres module against a server of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image is in no registry that must be in reach

from testcontainers.community.postgres import PostgresContainer

from graasp_local.errors import NeedsYou
from graasp_local.migrations import AppliedMigration
from graasp_local.postgres import PostgresDatabase

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


def test_a_database_without_drizzles_table_has_no_migrations_and_gets_no_error(
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


def test_a_wrong_password_is_said_to_be_one(server: PostgresContainer) -> None:
    wrong = PostgresDatabase(lambda: (server.get_container_host_ip(), int(server.get_exposed_port(5432))), "wrong")
    with pytest.raises(NeedsYou) as failed:
        wrong.applied_migrations()
    assert "POSTGRES_PASSWORD" in failed.value.next_step


def test_a_server_that_is_away_is_said_to_be(server: PostgresContainer) -> None:
    with pytest.raises(NeedsYou, match="does not answer"):
        PostgresDatabase(lambda: ("127.0.0.1", 1), PASSWORD).applied_migrations()
