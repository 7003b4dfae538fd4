"""Every demo version that is made to go wrong: what is caught, where the site is left, and the way out of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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


def assert_closed(site: DemoSite, state: str) -> None:
    told = site.status()
    assert (told["state"], told["gate"]) == (state, "closed")
    assert site.ask("/", AS_BROWSER).status == 302


def assert_open_with_data(site: DemoSite, version: str) -> None:
    told = site.status()
    assert (told["state"], told["version"], told["drift"]) == ("running", version, [])
    assert site.item_names() == ["must survive"]


def test_an_image_that_is_missing_is_refused_with_nothing_touched(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-image-missing", code=10)
    assert "workers-v1.3.0-image-missing" in ended["problem"][0]
    assert_open_with_data(site, "1.1.0")


def test_a_version_that_does_not_exist_is_refused_with_nothing_touched(site: DemoSite) -> None:
    ended = site.deploy("9.9.9", code=10)
    assert (ended["outcome"], ended["downtime_seconds"]) == ("refused", None)
    assert_open_with_data(site, "1.1.0")


def test_a_migration_that_fails_changes_no_row_and_its_cause_is_shown(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-migration-fails", code=21)
    assert ended["steps"][-1]["name"] == "migrate"
    assert_closed(site, "db-only")
    assert 'relation "no_such_table" does not exist' in site.run("history", "--last").stdout
    assert site.run("apply", "running", code=10).stderr.startswith("The walk ")
    assert site.status()["next"]
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert_open_with_data(site, "1.1.0")


def test_a_migration_that_hangs_is_ended_at_its_limit(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-migration-hangs", "--migration-limit", "3", code=21)
    assert "not done after 3 s" in ended["problem"][0]
    assert_closed(site, "db-only")
    assert site.containers(one_offs=True) == {}
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert_open_with_data(site, "1.1.0")


def test_a_migration_that_lies_is_caught(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-migration-lies", code=21)
    assert ended["steps"][-1]["name"] == "prove-migrations"
    assert "0003_never_applied is not in the database" in ended["problem"][0]
    assert_closed(site, "db-only")
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert_open_with_data(site, "1.1.0")


def test_a_core_that_boots_slowly_is_waited_for(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-slow-boot")
    assert ended["outcome"] == "done"
    assert ended["downtime_seconds"] > 10
    assert_open_with_data(site, "1.3.0-slow-boot")


def test_a_core_that_never_gets_healthy_keeps_the_site_closed(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-never-healthy", code=21)
    assert "core runs but does not get healthy" in ended["problem"][0]
    assert_closed(site, "drifted")
    assert site.deploy("1.2.0")["outcome"] == "done"
    assert_open_with_data(site, "1.2.0")


def test_a_core_of_another_version_is_not_shown_to_visitors(site: DemoSite) -> None:
    ended = site.deploy("1.3.0-wrong-version", code=21)
    assert "version 0.0.1, not 1.3.0-wrong-version" in ended["problem"][0]
    assert_closed(site, "restricted")
    assert site.deploy("1.2.0")["outcome"] == "done"
    assert_open_with_data(site, "1.2.0")


def test_a_core_that_crashes_later_shows_the_page_and_is_seen_as_drift(site: DemoSite) -> None:
    site.deploy("1.3.0-crashes-later")
    wait_for(lambda: site.status()["state"] == "drifted", "core has crashed")
    answer = site.ask("/", AS_BROWSER)
    assert answer.status in (200, 503)
    assert site.deploy("1.2.0")["outcome"] == "done"
    assert_open_with_data(site, "1.2.0")


def test_a_first_deployment_that_fails_can_be_followed_by_one_that_works(tmp_path: Path) -> None:
    site = DemoSite(tmp_path / "site")
    try:
        site.deploy("1.3.0-migration-fails", code=21)
        assert_closed(site, "db-only")
        assert site.deploy("1.0.0")["outcome"] == "done"
        assert site.status()["state"] == "running"
    finally:
        site.down()
