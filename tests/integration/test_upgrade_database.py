"""From Postgres 15 to 17 on the real engine, with data: there, back again, and from wherever it was cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.database_data import (
    data,
    filled_site,
    killed,
    major,
    new_servers,
    operation,
    send_events,
    sql,
    volumes,
)
from tests.integration.demo_site import DemoSite

OLD_IMAGE = "localhost/graasp-demo/postgres:15"
NEW_IMAGE = "localhost/graasp-demo/postgres:17"
UPGRADE = ("upgrade-database", "--to", "17", "--json")


def is_on_15(site: DemoSite, before: tuple[str, ...]) -> None:
    told = site.status()
    assert (told["state"], told["gate"], told["unfinished"], told["drift"]) == ("running", "open", None, [])
    assert site.containers()["db"]["Config"]["Image"] == OLD_IMAGE
    assert (major(site), volumes(site), new_servers(site)) == (15, {"db-data"}, [])
    assert data(site) == before
    assert len(site.item_names()) == 2000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """Filled, on Postgres 15; the last test leaves it on 17."""
    with filled_site(tmp_path_factory.mktemp("upgrade") / "site", 17) as site:
        yield site


@pytest.fixture(scope="module")
def before(site: DemoSite) -> tuple[str, ...]:
    return data(site)


def test_the_plan_is_shown_with_the_time_that_the_site_will_be_closed(site: DemoSite) -> None:
    told = json.loads(site.run(*UPGRADE, "--dry-run").stdout)
    names = [step["name"] for step in told["plan"]]
    assert names.index("start-new-server") < names.index("close-gate") < names.index("stop-administration")
    assert names.index("prove-copy") < names.index("select-server") < names.index("open-gate")
    assert told["estimated_downtime_seconds"] > 0
    assert new_servers(site) == []


def test_the_same_major_and_an_older_one_are_refused(site: DemoSite) -> None:
    assert "on Postgres 15 already" in site.run("upgrade-database", "--to", "15", code=10).stderr
    assert "cannot be downgraded to 14" in site.run("upgrade-database", "--to", "14", code=10).stderr


def test_an_image_of_another_major_than_the_files_is_refused_before_postgres_crashes_on_them(site: DemoSite) -> None:
    text = (site.directory / ".env").read_text()
    started = site.containers()["db"]["State"]["StartedAt"]
    (site.directory / ".env").write_text(text.replace(OLD_IMAGE, NEW_IMAGE))
    try:
        told = site.status()
        assert "files are those of Postgres 15" in told["database_problem"]
        assert told["next"][0] == "graasp-local upgrade-database --to 17"
        for words in (("apply", "stopped"), ("deploy", "--version", "1.1.0")):
            refused = site.run(*words, code=10).stderr
            assert "graasp-local upgrade-database --to 17" in refused
    finally:
        (site.directory / ".env").write_text(text)
    assert site.containers()["db"]["State"]["StartedAt"] == started


def test_what_the_newer_server_lacks_is_found_while_the_site_is_open(site: DemoSite, before: tuple[str, ...]) -> None:
    sql(site, "graasp", "CREATE EXTENSION adminpack")  # gone in 17
    ended = operation(site, *UPGRADE, code=10)
    assert "lacks extensions that are in use: adminpack (in graasp)" in str(ended["problem"])
    assert ended["downtime_seconds"] is None
    sql(site, "graasp", "DROP EXTENSION adminpack")
    is_on_15(site, before)


def test_a_restore_that_fails_ends_on_the_old_server(site: DemoSite, before: tuple[str, ...]) -> None:
    started = site.containers()["db"]["State"]["StartedAt"]
    # A view on a column that 17 has no more: only the restore itself can tell.
    sql(site, "graasp", "CREATE VIEW writes AS SELECT buffers_backend FROM pg_stat_bgwriter")
    ended = operation(site, *UPGRADE, code=20)
    assert ended["outcome"] == "rolled-back"
    assert "The restore of graasp failed" in str(ended["problem"])
    assert "buffers_backend" in str(ended["problem"])
    sql(site, "graasp", "DROP VIEW writes")
    is_on_15(site, before)
    assert site.containers()["db"]["State"]["StartedAt"] == started


@pytest.mark.parametrize("step", ["start-new-server", "restore-server", "select-server"])
def test_killed_at_a_step_it_is_rolled_back(site: DemoSite, before: tuple[str, ...], step: str) -> None:
    killed(site, step, *UPGRADE)
    told = site.status()
    assert told["next"] == ["graasp-local resume", "graasp-local rollback"]
    assert "stopped halfway between Postgres 15 and 17" in site.run("apply", "running", code=10).stderr
    assert "stopped halfway between Postgres 15 and 17" in site.run("deploy", "--version", "1.1.0", code=10).stderr
    site.run("rollback")
    is_on_15(site, before)


def test_killed_and_resumed_it_is_on_17_with_all_data(site: DemoSite, before: tuple[str, ...]) -> None:
    killed(site, "dump-server", *UPGRADE)
    killed(site, "stop-new-server", "resume", "--json")
    killed(site, "start-graasp", "resume", "--json")
    site.run("resume")
    told = site.status()
    assert (told["state"], told["gate"], told["version"], told["unfinished"]) == ("running", "open", "1.0.0", None)
    assert (major(site), volumes(site), new_servers(site)) == (17, {"db-data", "db-data-17"}, [])
    assert data(site) == before
    assert len(site.item_names()) == 2000


def test_owners_log_in_with_the_passwords_in_env_and_with_no_other(site: DemoSite) -> None:
    import psycopg

    values = dict(line.partition("=")[::2] for line in (site.directory / ".env").read_text().splitlines())
    host, port = str(site.run("compose", "--", "port", "db", "5432").stdout.strip()).split(":")
    for owner in ("graasp", "umami"):
        password = values[f"{owner.upper()}_DB_PASSWORD"]
        with psycopg.connect(host=host, port=int(port), user=owner, dbname=owner, password=password) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (owner,)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=host, port=int(port), user=owner, dbname=owner, password="another")


def test_on_the_newer_server_the_site_works_as_before(site: DemoSite) -> None:
    site.create_item("written on 17")
    send_events(site, 1)
    assert sql(site, "umami", "SELECT count(*) FROM website_event") == "4"
    assert site.deploy("1.1.0")["outcome"] == "done"
    site.run("apply", "stopped")
    site.run("apply", "running")
    assert (major(site), len(site.item_names())) == (17, 2001)


def test_the_old_volume_is_removed_only_by_the_sites_name(site: DemoSite) -> None:
    assert "--discard old-database" in site.run("remove-old-database", code=10).stderr
    site.run("remove-old-database", "--confirm", "another", code=10)
    assert volumes(site) == {"db-data", "db-data-17"}
    site.run("remove-old-database", "--confirm", site.project)
    assert volumes(site) == {"db-data-17"}
    assert not list((site.directory / "upgrades").glob("*"))
    assert len(site.item_names()) == 2001
