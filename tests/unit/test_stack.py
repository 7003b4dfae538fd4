"""Services and groups, read from the compose files alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from graasp_local.errors import ConfigurationError
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings import SETTINGS
from graasp_local.stack.services import copy_stack, read_backup_contents, read_services, stack_directory

COMPOSE_FILE = stack_directory() / "compose" / "compose.yaml"
STACK = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
PUBLISHED_AS_LATEST_ONLY = {"iframely"}


def groups(*files: Path, profiles: tuple[str, ...] = ()) -> dict[str, str]:
    return {service.name: service.group.value for service in read_services(files, profiles)}


def test_the_groups_of_the_stack() -> None:
    assert groups(COMPOSE_FILE) == {
        "db": "database",
        "umami": "administration",
        "redis": "graasp",
        "core": "graasp",
        "workers": "graasp",
        "meilisearch": "graasp",
        "migrate": "migration",
        "nginx": "edge",
    }


def test_core_keeps_nothing_in_a_volume_but_what_backups_keep(tmp_path: Path) -> None:
    kept = {f"/var/tmp/{name}" for name in read_backup_contents([COMPOSE_FILE])["files"]}
    for name in ("core", "workers"):
        told = STACK[name]["environment"]
        assert {told["FILE_STORAGE_ROOT_PATH"], told["H5P_STORAGE_ROOT_PATH"]} == kept
        assert STACK[name]["volumes"][0] == "files:/var/tmp"
        assert not any(volume.endswith(":/tmp") for volume in STACK[name]["volumes"])
    override = tmp_path / "compose.override.yaml"
    override.write_text("x-backup-only: {wiki: [pages]}\n")
    assert read_backup_contents([COMPOSE_FILE, override])["wiki"] == ("pages",)


def test_a_service_of_your_own_joins_a_group_by_its_label(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text("services:\n  search: {image: x, labels: [org.graasp.group=graasp]}\n  core: {mem_limit: 1g}\n")
    assert groups(COMPOSE_FILE, override)["search"] == "graasp"
    assert groups(COMPOSE_FILE, override)["core"] == "graasp"


def test_what_writes_to_graasps_database_is_off_while_that_changes_whatever_group_it_says(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    own = 'labels: {org.graasp.group: administration, org.graasp.writes: "true", org.graasp.optional: "true"}'
    override.write_text(f"services: {{reports: {{image: x, {own}}}}}\n")
    assert groups(COMPOSE_FILE, override)["reports"] == "graasp"


def test_a_service_of_an_inactive_profile_is_left_out(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text("services: {admin: {profiles: [admin], labels: {org.graasp.group: administration}}}\n")
    assert "admin" not in groups(COMPOSE_FILE, override)
    assert "admin" in groups(COMPOSE_FILE, override, profiles=("admin",))


def test_a_service_that_graasp_needs_may_have_a_profile_that_is_on(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text("services: {core: {profiles: [mine]}}\n")
    assert groups(COMPOSE_FILE, override, profiles=("mine",))["core"] == "graasp"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("services: {search: {image: x}}", "search has no group"),
        ("services: {search: {labels: {org.graasp.group: nonsense}}}", "unknown group 'nonsense'"),
        ("services: [", "this is not valid YAML"),
        ("services: {core: {profiles: [none]}}", "gives core the profile none, which is off: Graasp needs core"),
        ("services: {core: {deploy: {replicas: 0}}}", "sets the number of containers of core to 0"),
        ("services: {workers: {scale: 0}}", "sets the number of containers of workers to 0"),
        ("services: {workers: {scale: '-1'}}", "sets the number of containers of workers to -1"),
        ("services: {nginx: {profiles: [none]}}", "gives nginx the profile none"),
    ],
)
def test_an_override_that_cannot_be_used_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        groups(COMPOSE_FILE, override)


def test_the_copy_in_a_site_is_complete_and_follows_changes(tmp_path: Path) -> None:
    copy_stack(tmp_path)
    changed = tmp_path / "nginx" / "html" / "maintenance.html"
    original = changed.read_text()
    changed.write_text("something else")
    left_over = tmp_path / "nginx" / "templates" / "of-an-earlier-version.conf.template"
    left_over.write_text("server {}")
    copy_stack(tmp_path)
    assert not left_over.exists()
    assert changed.read_text() == original
    assert (tmp_path / "nginx/entrypoint/15-maintenance-header.envsh").stat().st_mode & 0o100


@pytest.mark.parametrize("name", STACK)
def test_every_image_is_overridable_and_pinned(name: str) -> None:
    image = STACK[name]["image"]
    assert "${" + f"{name.upper()}_IMAGE:-" in image
    tag = image.rstrip("}").rpartition(":")[2].removeprefix("-")
    assert tag not in ("", "latest") or name in PUBLISHED_AS_LATEST_ONLY


@pytest.mark.parametrize("name", [name for name in STACK if name != "migrate"])
def test_every_service_restarts_is_checked_and_has_a_grace_period(name: str) -> None:
    service = STACK[name]
    assert service["init"] is True
    # As root and without CAP_KILL an init could not tell Postgres, which is another user, to stop.
    assert ("KILL" in service.get("cap_add", ())) is (name == "db")
    # Other drivers refuse these options.
    assert (service["logging"]["driver"], service["logging"]["options"].keys()) == (
        "json-file",
        {"max-size", "max-file"},
    )
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", STACK)
def test_every_service_has_a_limit_for_its_memory(name: str) -> None:
    assert STACK[name]["mem_limit"]


OPTIONAL_PARTS = {"admin", "client", "etherpad", "files", "iframely", "mailpit", "nudenet"}


@pytest.mark.parametrize("name", sorted(OPTIONAL_PARTS))
def test_an_optional_part_is_off_until_its_profile_is_on(name: str) -> None:
    assert STACK[name]["profiles"] == [name]
    assert name not in groups(COMPOSE_FILE)
    assert groups(COMPOSE_FILE, profiles=(name,))[name] == "graasp"


def test_everything_that_is_not_optional_is_always_on() -> None:
    assert {name for name in STACK if "profiles" not in STACK[name]} == STACK.keys() - OPTIONAL_PARTS - {"migrate"}


def test_what_graasp_serves_without_says_so() -> None:
    optional = {name for name, service in STACK.items() if service["labels"].get("org.graasp.optional") == "true"}
    assert optional == {"admin", "etherpad", "iframely", "mailpit", "nudenet", "umami"}


def test_a_service_with_a_database_of_its_own_has_a_setting_for_its_password() -> None:
    databases = {service.database for service in read_services([COMPOSE_FILE], OPTIONAL_PARTS) if service.database}
    assert databases == {"etherpad"}
    assert {f"{name.upper()}_DB_PASSWORD" for name in databases} <= {setting.key for setting in SETTINGS}


def test_migrate_is_started_by_nothing_but_an_operation() -> None:
    assert STACK["migrate"]["profiles"] == ["migration"]
    assert STACK["migrate"]["restart"] == "no"


def test_only_nginx_is_reached_from_outside() -> None:
    published = {name: service["ports"] for name, service in STACK.items() if "ports" in service}
    assert published == {
        "db": ["127.0.0.1:${DB_PORT:-}:5432"],
        "mailpit": ["127.0.0.1:${MAILPIT_PORT:-}:8025"],
        "nginx": ["${GRAASP_BIND-${HTTP_BIND:-0.0.0.0}}:${HTTP_PORT:-80}:80"],
    }


def test_the_groups_are_those_of_the_table() -> None:
    assert {service.group for service in read_services([COMPOSE_FILE])} == set(ServiceGroup)


@pytest.mark.parametrize(
    ("one", "other"),
    [("umami", "admin"), ("umami", "core"), ("nginx", "db"), ("nginx", "redis")]
    + [("iframely", name) for name in ("core", "workers", "files", "client", "etherpad", "admin", "umami", "db")],
)
def test_unrelated_services_share_no_network(one: str, other: str) -> None:
    assert not set(STACK[one]["networks"]) & set(STACK[other]["networks"])


def test_core_finds_iframely_at_nginx() -> None:
    assert "iframely" in STACK["nginx"]["networks"]["inside"]["aliases"]
    assert "inside" in STACK["core"]["networks"]
    assert set(STACK["nginx"]["networks"]) & set(STACK["iframely"]["networks"]) == {"embeds"}


def networks_of(service: str, *files: str) -> dict[str, int]:
    """The networks of a service with their priorities, as Compose merges these files."""
    merged: dict[str, int] = {}
    for file in files:
        definition = yaml.safe_load((COMPOSE_FILE.parent / file).read_text())["services"].get(service) or {}
        given = definition.get("networks") or {}
        told = given if isinstance(given, dict) else dict.fromkeys(given)
        merged |= {name: (each or {}).get("priority", merged.get(name, 0)) for name, each in told.items()}
    return merged


@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "external.yaml")], ids=len)
@pytest.mark.parametrize("service", STACK)
def test_the_main_network_of_a_container_in_a_swarm_is_always_on_its_engine(
    service: str, files: tuple[str, ...]
) -> None:
    """Where it is an overlay and another one is connected before it, Docker Engine 26 does not start the container."""
    overlays = yaml.safe_load((COMPOSE_FILE.parent / "swarm.yaml").read_text())["networks"]
    networks = networks_of(service, *files, "swarm.yaml")
    main = min(networks, key=lambda name: (-networks[name], name))
    assert len(networks) == 1 or overlays.get(main, {}).get("driver") != "overlay"
