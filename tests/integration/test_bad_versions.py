"""Every demo version that is made to go wrong: what is caught, where the site is left, and the way out of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.database_data import killed
from tests.integration.demo_site import AS_BROWSER, DemoSite, wait_for


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    site = DemoSite(tmp_path_factory.mktemp("bad") / "site")
    try:
        site.deploy("1.1.0")
        site.create_item("must survive")
        yield site
    finally:
        site.down()


def assert_open_with_data(site: DemoSite, version: str) -> None:
    told = site.status()
    assert (told["state"], told["version"], told["drift"]) == ("running", version, [])
    assert site.item_names() == ["must survive"]


def test_an_image_that_is_missing_is_refused_with_nothing_changed(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-image-missing", code=10)
    assert "workers-v1.3.0-image-missing" in ended["problem"][0]
    assert_open_with_data(site, "1.1.0")


def test_a_version_that_does_not_exist_is_refused_with_nothing_changed(site: DemoSite) -> None:
    ended = site.deploy("9.9.9", code=10)
    assert (ended["outcome"], ended["downtime_seconds"]) == ("refused", None)
    assert_open_with_data(site, "1.1.0")


def databases(site: DemoSite) -> set[str]:
    return {name for (name,) in site.database("postgres", "SELECT datname FROM pg_database")}


def umami_session(site: DemoSite) -> list[tuple[int]]:
    return site.database("postgres", "SELECT pid FROM pg_stat_activity WHERE datname = 'umami'")


@pytest.mark.parametrize(
    ("version", "step", "said", "options"),
    [
        ("1.3.0-migration-fails", "migrate", 'exit code 1: relation "no_such_table" does not exist', ()),
        ("1.3.0-migration-hangs", "migrate", "not finished after 3 s", ("--migration-limit", "3")),
        ("1.3.0-migration-lies", "prove-migrations", "0003_never_applied is not in the database", ()),
        ("1.3.0-never-healthy", "start-graasp", "core runs but does not become healthy", ()),
        ("1.3.0-wrong-version", "verify-core", "version 0.0.1, not 1.3.0-wrong-version", ()),
    ],
)
def test_a_failed_deployment_costs_downtime_only(
    site: DemoSite, version: str, step: str, said: str, options: tuple[str, ...]
) -> None:
    umami = umami_session(site)
    ended = site.deploy(version, *options, code=20)
    assert (ended["outcome"], ended["state"], ended["version"]) == ("rolled-back", "running", "1.1.0")
    assert next(s["name"] for s in ended["steps"] if s["outcome"] == "failed") == step
    assert said in ended["problem"][0]
    assert ended["downtime_seconds"] > 0
    assert site.containers(one_offs=True) == {}
    assert umami_session(site) == umami
    assert site.status()["unfinished"] is None
    assert_open_with_data(site, "1.1.0")


def test_a_site_that_was_stopped_is_stopped_again_with_nothing_of_the_failed_version(site: DemoSite) -> None:
    site.run("apply", "stopped")
    ended = site.deploy("1.3.0-migration-fails", "--no-backup", code=20)
    assert (ended["outcome"], ended["state"], ended["version"]) == ("rolled-back", "stopped", "1.1.0")
    assert ended["problem"][1] == "The site is stopped with 1.1.0 as before."
    assert site.running() == set()
    versions = {found["Config"]["Labels"].get("org.graasp.version") for found in site.containers().values()}
    assert versions == {None, "1.1.0"}


def test_a_stopped_site_with_nothing_to_migrate_is_rolled_back_without_consent(site: DemoSite) -> None:
    ended = site.deploy("1.2.0", "--no-backup")
    assert next(step for step in ended["steps"] if step["name"] == "migrate")["needed"] is False
    site.run("rollback")
    assert_open_with_data(site, "1.1.0")


def test_after_a_failed_migration_its_cause_is_shown_and_its_database_kept_until_the_next_deployment(
    site: DemoSite,
) -> None:
    site.deploy("1.3.0-migration-fails", code=20)
    shown = site.run("history", "--last").stdout
    assert 'relation "no_such_table" does not exist' in shown, "from Postgres' log"
    assert 'ALTER TABLE "no_such_table"' in shown
    assert [name for name in databases(site) if name.startswith("graasp_failed_")]
    site.deploy("1.2.0")
    assert {name for name in databases(site) if name.startswith("graasp_")} == set()
    site.deploy("1.1.0")


@pytest.mark.parametrize("version", ["1.3.0-migration-fails", "1.3.0-migration-lies"])
def test_held_after_a_failure_the_site_stays_closed_and_can_be_rolled_back(site: DemoSite, version: str) -> None:
    ended = site.deploy(version, "--on-failure", "hold", code=21)
    assert ended["outcome"] == "failed"
    told = site.status()
    assert (told["gate"], told["next"]) == ("sealed", ["graasp-local resume", "graasp-local rollback"])
    assert site.ask("/", AS_BROWSER).status == 302
    assert site.run("apply", "running", code=10).stderr.startswith("The operation ")
    site.run("rollback")
    assert_open_with_data(site, "1.1.0")


def test_a_held_version_that_was_refused_is_not_let_through_by_apply(site: DemoSite) -> None:
    site.deploy("1.3.0-wrong-version", "--on-failure", "hold", code=21)
    told = site.status()
    assert (told["gate"], told["next"]) == ("sealed", ["graasp-local resume", "graasp-local rollback"])
    assert site.ask("/", AS_BROWSER).status == 302
    assert "version 0.0.1, not 1.3.0-wrong-version" in site.run("apply", "running", code=21).stderr
    assert site.status()["gate"] == "closed"
    site.run("rollback")
    assert_open_with_data(site, "1.1.0")


def test_resume_tries_again_and_rolls_back_what_fails_again(site: DemoSite) -> None:
    site.deploy("1.3.0-migration-fails", "--on-failure", "hold", code=21)
    site.run("resume", code=21)  # with what was asked for at first
    site.run("resume", "--on-failure", "rollback", code=20)
    assert_open_with_data(site, "1.1.0")


def test_without_anything_unfinished_there_is_nothing_to_resume(site: DemoSite) -> None:
    assert "No operation was left unfinished on this site" in site.run("resume", code=10).stderr


def test_a_core_that_boots_slowly_is_waited_for(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-slow-boot")
    assert ended["outcome"] == "done"
    assert ended["downtime_seconds"] > 10
    assert_open_with_data(site, "1.3.0-slow-boot")


def test_a_core_that_crashes_later_shows_the_page_and_is_reported_as_drift(site: DemoSite) -> None:
    site.deploy("1.3.0-crashes-later")
    wait_for(lambda: site.status()["state"] == "drifted", "core has crashed")
    answer = site.ask("/", AS_BROWSER)
    assert answer.status in (200, 503)
    assert site.deploy("1.2.0")["outcome"] == "done"
    assert_open_with_data(site, "1.2.0")


def test_a_first_deployment_that_fails_can_be_followed_by_one_that_works(tmp_path: Path) -> None:
    site = DemoSite(tmp_path / "site")
    try:
        ended = site.deploy("1.3.0-migration-fails", code=20)
        assert ended["problem"][1] == "The site is stopped as before."
        assert (site.running(), site.status()["version"]) == (set(), None)
        assert "needs a version to run, but none has been deployed" in site.run("apply", "running", code=10).stderr
        killed(site, "verify-core", "deploy", "--version", "1.0.0", "--json")
        site.run("rollback")
        assert (site.running(), site.status()["version"], site.status()["unfinished"]) == (set(), None, None)
        assert site.deploy("1.0.0")["outcome"] == "done"
        assert site.status()["state"] == "running"
    finally:
        site.down()
