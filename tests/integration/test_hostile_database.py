"""Whoever owns Graasp's database, a core that was taken over, gets no further by what is left in it for us to run.

The same database has what is in no template and no dump of it, and a server that sets limits of time: all of that is
kept, or does not hinder, in every rollback.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import psycopg
import pytest

from tests.integration.database_data import sql
from tests.integration.demo_site import DemoSite

TRAPS = """
CREATE FUNCTION climb(place text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    EXECUTE 'RESET ROLE';
    EXECUTE 'RESET SESSION AUTHORIZATION';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  BEGIN
    EXECUTE 'ALTER ROLE graasp SUPERUSER';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  BEGIN
    EXECUTE format('COPY (SELECT %L) TO PROGRAM ''cat >> climbed''', place);
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  RETURN place;
END $$;
CREATE FUNCTION climb_quietly(place text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN public.climb(place); END $$;
CREATE FUNCTION climb_at(a int, place text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM public.climb(place); RETURN true; END $$;

-- Evaluated when rows are loaded.
CREATE TABLE checked (
  a int CHECK (climb_at(a, 'check')), b text GENERATED ALWAYS AS (climb_quietly('generated')) STORED);
INSERT INTO checked SELECT generate_series(1, 3);
-- Evaluated when an index or a constraint is built, and when any query on the table is planned.
CREATE TABLE indexed (a text);
INSERT INTO indexed VALUES ('x'), ('y');
CREATE INDEX ON indexed ((a || climb_quietly('index')));
CREATE INDEX ON indexed (a) WHERE climb_quietly('predicate') = 'predicate';
-- Evaluated when rows are looked at.
ALTER TABLE indexed ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON indexed USING (climb('policy') = 'policy');
CREATE MATERIALIZED VIEW shown AS SELECT climb('materialized') AS a;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM public.climb('trigger'); RETURN NEW; END $$;
CREATE TRIGGER climbing BEFORE INSERT ON indexed FOR EACH ROW EXECUTE FUNCTION changed();
ALTER TABLE indexed ENABLE ALWAYS TRIGGER climbing;

-- Found before what Postgres has under these names, where the search path is the database's.
CREATE SCHEMA evil;
CREATE FUNCTION evil.count(text) RETURNS bigint LANGUAGE plpgsql AS
  $$ BEGIN PERFORM public.climb('count'); RETURN 1; END $$;
CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS
  $$ BEGIN PERFORM public.climb('to_regclass'); RETURN NULL; END $$;
CREATE FUNCTION evil.equal(name, text) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN PERFORM public.climb('operator'); RETURN $1::text OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.equal);
ALTER DATABASE graasp SET search_path = evil, public, pg_catalog;
"""
"""Each place calls `climb`, which makes its role a superuser, and runs a shell, if it has the rights for that."""


OF_THE_DATABASE = """
ALTER DATABASE graasp SET timezone = 'Europe/Zurich';
ALTER DATABASE graasp SET log_min_duration_statement = '7s';
ALTER ROLE graasp IN DATABASE graasp SET work_mem = '5MB';
ALTER DATABASE graasp CONNECTION LIMIT 77;
COMMENT ON DATABASE graasp IS 'the school''s own';
GRANT CONNECT ON DATABASE graasp TO umami;
ALTER ROLE postgres SET statement_timeout = '40ms';
ALTER ROLE postgres SET idle_in_transaction_session_timeout = '200ms';
ALTER ROLE postgres IN DATABASE graasp SET lock_timeout = '1ms';
"""
"""What is in no template and no dump, and limits of time that our own sessions and tools do not have."""

PROPERTIES = [
    "limit 77, the school's own",
    "=T graasp=CTc umami=c",
    "TimeZone=Europe/Zurich",
    "log_min_duration_statement=7s",
    "search_path=evil, public, pg_catalog",
    "graasp work_mem=5MB",
    "postgres lock_timeout=1ms",
]


@pytest.fixture(scope="module")
def hostile(site: DemoSite) -> DemoSite:
    """A running site in whose database its owner has set traps, and one in the place of drizzle's table."""
    as_graasp(site, TRAPS)
    # What only the superuser can make.
    sql(site, "graasp", "CREATE EXTENSION pageinspect SCHEMA public")
    sql(site, "graasp", "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO umami")
    sql(site, "postgres", OF_THE_DATABASE)
    assert sorted(properties(site)) == sorted(PROPERTIES)
    assert climbed(site) == ""
    return site


def as_graasp(site: DemoSite, statements: str) -> None:
    address = site.stack.get_database_url("graasp")
    with psycopg.connect(address, autocommit=True, options="-c search_path=public") as connection:
        connection.execute(statements.encode())


def ask(site: DemoSite, database: str, query: str) -> str:
    """As the superuser, whose limits of time are none of this question's."""
    return sql(site, f"dbname={database} options='-c statement_timeout=0 -c search_path=pg_catalog'", query)


def climbed(site: DemoSite) -> str:
    """Where the owner's code ran as superuser, and whether its role is one now; empty if nowhere."""
    ran = site.stack.exec("db", ["sh", "-c", "cat /var/lib/postgresql/data/climbed 2>/dev/null || true"]).output
    return ran.decode() + ask(
        site, "postgres", "SELECT 'superuser' FROM pg_roles WHERE rolname = 'graasp' AND rolsuper"
    )


def roles(site: DemoSite) -> str:
    return ask(
        site, "postgres", "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'"
    )


def properties(site: DemoSite) -> list[str]:
    """What belongs to Graasp's database, a line for each thing."""
    return ask(
        site,
        "postgres",
        "SELECT 'limit ' || datconnlimit || ', ' || shobj_description(oid, 'pg_database') FROM pg_database "
        "WHERE datname = 'graasp' UNION ALL "
        "SELECT string_agg(split_part(entry::text, '/', 1), ' ' ORDER BY entry::text) "
        "FROM pg_database, unnest(datacl) entry WHERE datname = 'graasp' UNION ALL "
        "SELECT CASE WHEN setrole = 0 THEN '' ELSE setrole::regrole || ' ' END || setting "
        "FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) setting "
        "WHERE datname = 'graasp'",
    ).splitlines()


def test_a_backup_and_its_trial_restore_run_nothing_of_it_as_superuser(hostile: DemoSite) -> None:
    before = roles(hostile)
    plant = 'mkdir -p $0; echo x >$0/good; ln -s good $0/in; ln -s /etc/passwd $0/out; mkfifo "$0/pi*pe"; '
    plant += "cp /bin/true $0/suid; chmod 4755 $0/suid"
    planted = hostile.stack.exec("core", ["sh", "-c", plant, "/var/tmp/graasp-files"])
    assert planted.exit_code == 0, planted.output
    hostile.run("backup")
    assert climbed(hostile) == ""
    # What was planted among the files keeps nothing else from being backed up.
    with tarfile.open(next(hostile.directory.glob("backups/0001-*/files.tar"))) as archive:
        names = {Path(member.name).name for member in archive}
    assert {"good", "in"} <= names
    assert not names & {"out", "pi*pe", "suid"}
    hostile.run("backup", "verify", "latest", "--trial-restore")
    assert climbed(hostile) == ""
    assert roles(hostile) == before


def test_neither_does_a_restore_and_everything_is_restored(hostile: DemoSite) -> None:
    before = roles(hostile)
    as_graasp(hostile, "DELETE FROM checked")
    hostile.run("restore", "latest", "--replace-what-is-there")
    assert sorted(properties(hostile)) == sorted(PROPERTIES)
    assert climbed(hostile) == ""
    assert ask(hostile, "graasp", "SELECT pg_catalog.count(*) FROM public.checked") == "3"
    assert roles(hostile) == before


def test_roles_that_are_missing_where_a_backup_is_restored_are_made(hostile: DemoSite) -> None:
    ask(hostile, "postgres", "CREATE ROLE reader; CREATE ROLE etherpad LOGIN")
    ask(hostile, "postgres", "CREATE DATABASE etherpad OWNER etherpad")
    ask(hostile, "etherpad", "CREATE TABLE public.store (a int); ALTER TABLE public.store OWNER TO etherpad")
    ask(hostile, "etherpad", "GRANT SELECT ON public.store TO reader")
    hostile.run("backup")
    # As on a new site.
    ask(hostile, "postgres", "DROP DATABASE etherpad")
    ask(hostile, "postgres", "DROP ROLE etherpad, reader")
    before = roles(hostile)
    hostile.run("backup", "verify", "latest", "--trial-restore")
    assert roles(hostile) == before
    hostile.run("restore", "latest", "--only", "etherpad", "--replace-what-is-there")
    owner = ask(
        hostile,
        "etherpad",
        "SELECT tableowner, has_table_privilege('reader', 'public.store', 'SELECT') FROM pg_tables "
        "WHERE tablename = 'store'",
    )
    assert owner == "etherpad|t"


def test_neither_does_a_deployment_that_is_rolled_back(hostile: DemoSite) -> None:
    hostile.deploy("1.3.0-migration-fails", code=20)
    assert sorted(properties(hostile)) == sorted(PROPERTIES)
    assert climbed(hostile) == ""
    hostile.deploy("1.1.0")
    assert climbed(hostile) == ""
    hostile.run("rollback", "--discard-written-since")
    assert climbed(hostile) == ""


def test_neither_does_an_upgrade_of_postgres(hostile: DemoSite) -> None:
    # The superuser's own in the owner's database stays the superuser's: the old server itself says whose it is.
    ask(hostile, "graasp", "CREATE TABLE public.audit (id int)")
    try:
        hostile.run("upgrade-database", "--to", "17", "--image", "localhost/graasp-demo/postgres:17")
        assert climbed(hostile) == ""
        assert sorted(properties(hostile)) == sorted(PROPERTIES)
        assert ask(hostile, "graasp", "SELECT tableowner FROM pg_tables WHERE tablename = 'audit'") == "postgres"
    finally:
        hostile.run("remove-old-database", "--confirm", hostile.project)


def test_a_view_in_place_of_drizzles_table_is_not_read(hostile: DemoSite) -> None:
    as_graasp(
        hostile,
        "ALTER TABLE drizzle.__drizzle_migrations RENAME TO real; CREATE VIEW drizzle.__drizzle_migrations AS "
        "SELECT id, hash, created_at + pg_catalog.length(public.climb('view')) * 0 AS created_at FROM drizzle.real",
    )
    try:
        refused = hostile.deploy("1.1.0", code=10)
        assert "__drizzle_migrations" in str(refused)
        assert climbed(hostile) == ""
    finally:
        as_graasp(
            hostile,
            "DROP VIEW drizzle.__drizzle_migrations; ALTER TABLE drizzle.real RENAME TO __drizzle_migrations",
        )
