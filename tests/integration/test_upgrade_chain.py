"""From Postgres 15 by way of 16 to 17 on the real engine, with data: what is refused, each upgrade, each rollback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest

from tests.integration.database_data import (
    data,
    filled_site,
    killed,
    major,
    new_servers,
    operation,
    volumes,
)
from tests.integration.demo_site import DemoSite

IMAGE = "localhost/graasp-demo/postgres"
WITHOUT_CITEXT = f"FROM {IMAGE}:16\nRUN rm /usr/lib/postgresql/16/share/postgresql/extension/citext*\n"


def upgrade(site: DemoSite, to: int, *words: str, code: int = 0) -> dict[str, object]:
    return operation(site, "upgrade-database", "--to", str(to), "--json", *words, code=code)


def is_on(site: DemoSite, wanted: int, kept: set[str], before: tuple[str, ...]) -> None:
    told = site.status()
    assert (told["state"], told["gate"], told["version"]) == ("running", "open", "1.0.0")
    assert (told["unfinished"], told["drift"]) == (None, [])
    assert site.containers()["db"]["Config"]["Image"] == f"{IMAGE}:{wanted}"
    assert (major(site), volumes(site), new_servers(site)) == (wanted, kept, [])
    assert data(site) == before
    assert len(site.item_names()) == 2000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """Filled, on Postgres 15; the last test leaves it on 17."""
    with filled_site(tmp_path_factory.mktemp("chain") / "site", 16, 17) as site:
        yield site


@pytest.fixture(scope="module")
def before(site: DemoSite) -> tuple[str, ...]:
    return data(site)


@pytest.fixture
def without_citext(site: DemoSite) -> Iterator[str]:
    """The image of a Postgres 16 that lacks an extension which the site's data needs."""
    image = f"localhost/{site.project}/postgres:16"
    with closing(docker.from_env()) as client:
        client.images.build(fileobj=io.BytesIO(WITHOUT_CITEXT.encode()), tag=image, rm=True)
        yield image
        client.api.remove_image(image)


def test_doctor_says_that_an_image_of_16_does_not_fit_data_of_15(site: DemoSite) -> None:
    env = site.directory / ".env"
    text = env.read_text()
    env.write_text(text.replace(f"{IMAGE}:15", f"{IMAGE}:16"))
    try:
        told = json.loads(site.run("doctor", "--json", code=10).stdout)["findings"]
    finally:
        env.write_text(text)
    found = next(finding for finding in told if finding["check"] == "postgres")
    assert found["verdict"] == "fails"
    assert "written by Postgres 15, but the image is Postgres 16" in found["said"]
    assert "graasp-local upgrade-database --to 16" in found["fix"]


def test_without_an_extension_that_is_in_use_nothing_is_closed(
    site: DemoSite, before: tuple[str, ...], without_citext: str
) -> None:
    started = {name: found["State"]["StartedAt"] for name, found in site.containers().items()}
    ended = upgrade(site, 16, "--image", without_citext, code=10)
    assert "This image of Postgres 16 lacks extensions that are in use: citext (in graasp)." in str(ended["problem"])
    assert ended["downtime_seconds"] is None
    is_on(site, 15, {"db-data"}, before)
    assert {name: found["State"]["StartedAt"] for name, found in site.containers().items()} == started


def test_from_16_it_is_rolled_back_to_15(site: DemoSite, before: tuple[str, ...]) -> None:
    killed(site, "start-administration", "upgrade-database", "--to", "16", "--json")
    assert volumes(site) == {"db-data", "db-data-16"}
    site.run("rollback")
    is_on(site, 15, {"db-data"}, before)


def test_15_to_16(site: DemoSite, before: tuple[str, ...]) -> None:
    assert upgrade(site, 16)["outcome"] == "done"
    is_on(site, 16, {"db-data", "db-data-16"}, before)


def test_a_successful_upgrade_is_undone_by_hand(site: DemoSite, before: tuple[str, ...]) -> None:
    refused = site.run("rollback", code=10).stderr
    assert "The upgrade to Postgres 16 succeeded" in refused
    assert f"the volume {site.project}_db-data of Postgres 15 is kept as it was" in refused
    selected = site.directory / ".graasp-local" / "version.env"
    on_16 = selected.read_text()
    upgraded = json.loads((site.directory / ".graasp-local" / "upgrades.jsonl").read_text())
    on_15 = on_16.replace(upgraded["to"]["volume"], upgraded["from"]["volume"])
    for text, server in ((on_15.replace(f"{IMAGE}:16", f"{IMAGE}:15"), 15), (on_16, 16)):
        site.run("apply", "stopped")
        selected.write_text(text)
        site.run("apply", "running")
        is_on(site, server, {"db-data", "db-data-16"}, before)


def test_16_to_17(site: DemoSite, before: tuple[str, ...]) -> None:
    assert upgrade(site, 17)["outcome"] == "done"
    is_on(site, 17, {"db-data", "db-data-16", "db-data-17"}, before)
    site.run("remove-old-database", "--discard", "old-database")
    is_on(site, 17, {"db-data-17"}, before)
