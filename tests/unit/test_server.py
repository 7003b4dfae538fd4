"""Which major an image stands for, and which server a site is started with after an upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest

from graasp_local.engine.containers.services import DIRECTORY_LABEL, SERVICE_LABEL, observed_on
from graasp_local.planning.server import DatabaseServer, image_of_major, major_of_image
from graasp_local.planning.states import ObservedService
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.selection import Selection, read_selection, selection_lines
from graasp_local.site.site import Site
from graasp_local.stack.services import GROUP_LABEL, filled_in
from graasp_local.version import Version


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:16.11", 16),
        ("postgres:15.8-alpine", 15),
        ("localhost:5000/school/postgres:17", 17),
        ("pgvector/pgvector:pg17", 17),
        ("postgres:17@sha256:0123", 17),
        ("postgres", None),
        ("sha256:15ab0c", None),
        ("postgres:latest", None),
        ("localhost:5000/postgres", None),
        ("postgres:bookworm", None),
    ],
)
def test_an_images_tag_says_its_major_or_nothing(image: str, major: int | None) -> None:
    assert major_of_image(image) == major


@pytest.mark.parametrize(
    ("image", "other"),
    [
        ("postgres:15.8", "postgres:17"),
        ("postgres:15.8-alpine", "postgres:17-alpine"),
        ("localhost:5000/school/postgres:15", "localhost:5000/school/postgres:17"),
        ("pgvector/pgvector:pg15", "pgvector/pgvector:pg17"),
        ("postgres:latest", None),
        ("postgres:15@sha256:0123", None),
    ],
)
def test_the_same_image_of_another_major(image: str, other: str | None) -> None:
    assert image_of_major(image, 17) == other


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(Version(1, 0, 0)),
        Selection(Version(1, 0, 0), "postgres:17", "graasp_db-data-17", "postgres:15"),
        Selection(None, "postgres:17", "graasp_db-data-17"),
        Selection(None, "", "graasp_db-data-17"),
        Selection(Version(1, 0, 0), images=(("CORE_IMAGE", "x:1@sha256:aa"),)),
        Selection(Version(1, 0, 0), images=(("CORE_IMAGE", "sha256:aa"),), named=(("CORE_IMAGE", "x:core-v1.0.0"),)),
    ],
)
def test_what_is_written_is_read_again(selection: Selection) -> None:
    assert read_selection("\n".join(("# a comment", *selection_lines(selection, "postgres:15")))) == selection


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("${A:-${B:-c}}", {}, "c"),
        ("${A:-${B:-c}}", {"B": "b"}, "b"),
        ("${A:-${B:-c}}", {"A": "a", "B": "b"}, "a"),
        ("${A:-c}", {"A": ""}, "c"),
        ("postgres:16", {}, "postgres:16"),
    ],
)
def test_variables_of_a_compose_file_are_filled_in_as_compose_does(
    text: str, values: dict[str, str], filled: str
) -> None:
    assert filled_in(text, values) == filled


NEW = DatabaseServer("postgres:17.7", "graasp_db-data-17")


def a_site(directory: Path, db_image: str = "") -> Site:
    return init_site(directory, {"DB_IMAGE": db_image} if db_image else {}, demo=False)


def set_db_image(site: Site, image: str) -> Site:
    """The site as the next command sees it after `DB_IMAGE` was written into `.env`."""
    lines = [line for line in site.env_file.read_text().splitlines() if not line.startswith("DB_IMAGE=")]
    site.env_file.write_text("\n".join([*lines, f"DB_IMAGE={image}", ""]))
    return Site(site.directory)


def test_a_site_that_was_never_upgraded_has_composes_own_volume(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp")
    assert site.database_server == DatabaseServer("postgres:16.11", "graasp_db-data")
    assert "GRAASP_DB" not in site.version_file.read_text()


def test_the_image_is_that_of_env_or_of_the_override(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp", "postgres:15.8")
    assert site.database_server.image == "postgres:15.8"
    site.override_file.write_text("services: {db: {image: registry.school.example/postgres:15}}\n")
    assert Site(site.directory).database_server.image == "registry.school.example/postgres:15"


def test_a_selected_server_is_what_every_command_then_sees(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp", "postgres:15.8")
    prepare.select(site, Version(1, 0, 0))
    prepare.select(site, NEW)
    again = Site(site.directory)
    prepare.prepare(again)
    assert (again.database_server, again.selected_version) == (NEW, Version(1, 0, 0))
    assert "GRAASP_DB_IMAGE=postgres:17.7" in prepare.candidate_file(again, Version(1, 1, 0)).read_text()


def test_a_new_version_keeps_the_selected_server(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp")
    prepare.select(site, NEW)
    prepare.select(site, Version(1, 1, 0))
    assert (site.database_server, site.selected_version) == (NEW, Version(1, 1, 0))


def test_a_db_image_that_is_changed_in_env_afterwards_counts_and_the_volume_stays(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp", "postgres:15.8")
    prepare.select(site, NEW)
    changed = set_db_image(site, "postgres:17.8")
    assert changed.database_server == DatabaseServer("postgres:17.8", NEW.volume)
    prepare.prepare(changed)
    back = set_db_image(changed, "postgres:15.8")
    assert back.database_server == NEW


def test_an_image_that_was_named_since_counts_instead_of_the_one_that_was_selected() -> None:
    images = (("CORE_IMAGE", "sha256:aa"), ("WORKERS_IMAGE", "sha256:bb"))
    named = {"CORE_IMAGE": "x:core-v1.0.0", "WORKERS_IMAGE": "x:workers-v1.0.0"}
    selection = Selection(Version(1, 0, 0), images=images, named=tuple(named.items()))
    assert selection.images_in_effect(named) == images
    assert selection.images_in_effect({**named, "CORE_IMAGE": "mine:1"}) == images[1:]
    assert Selection(Version(1, 0, 0), images=images).images_in_effect(named) == images
    without_core = {"WORKERS_IMAGE": "x:workers-v1.0.0"}  # its profile is off
    assert selection.images_in_effect(without_core) == images


def running_database(site: Site, image: str, state: str = "running") -> ObservedService:
    labels = {GROUP_LABEL: "database", SERVICE_LABEL: "db", DIRECTORY_LABEL: str(site.directory)}
    found = {"Names": ["/db"], "Labels": labels, "State": state, "Status": "Up (healthy)", "Image": image}
    return next(service for service in observed_on(site, [found]).services if service.name == "db")


@pytest.mark.parametrize(
    ("runs", "wanted", "outdated"),
    [
        ("postgres:16.10", "postgres:16.11", True),
        ("postgres:16.11", "postgres:16.11", False),
        ("postgres:16.11", "registry.school.example/postgres:16.11", True),
        ("own:latest", "own:newest", True),
        # Its tag does not say its major version: `apply` asks the image before it starts it.
        ("postgres:16.11", "own:latest", True),
        ("own:latest", "postgres:16.11", True),
        # Another major is for `upgrade-database`.
        ("postgres:15.8", "postgres:16.11", False),
        # Its name was given to another image: whoever means that one names it.
        ("sha256:3f2a", "postgres:16.11", False),
        ("postgres:16.11", "sha256:3f2a", False),
    ],
)
def test_another_image_of_the_same_major_makes_the_database_outdated(
    tmp_path: Path, runs: str, wanted: str, outdated: bool
) -> None:
    site = a_site(tmp_path / "graasp", wanted)
    assert running_database(site, runs).outdated is outdated
    assert not running_database(site, runs, "exited").outdated


def test_after_an_upgrade_the_selected_image_counts_until_env_names_another(tmp_path: Path) -> None:
    site = a_site(tmp_path / "graasp", "postgres:16.11")
    prepare.select(site, NEW)
    assert not running_database(Site(site.directory), "postgres:17.7").outdated
    assert running_database(set_db_image(site, "postgres:17.8"), "postgres:17.7").outdated
