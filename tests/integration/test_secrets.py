"""Secrets rotated on the real engine: the site works afterwards, and the old ones are worth nothing."""

from __future__ import annotations

import json

import psycopg
import pytest

from graasp_local.cli.tui import finish_what_was_cut_off
from tests.integration.demo_site import DemoSite


def values(site: DemoSite) -> dict[str, str]:
    told = json.loads(site.run("config", "show", "--secrets", "--json").stdout)
    return {item["key"]: item["value"] for item in told["settings"]}


def gets_in(site: DemoSite, role: str, password: str) -> bool:
    """By TCP, as core does."""
    port = site.containers()["db"]["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
    database = "postgres" if role == "postgres" else role
    try:
        psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=database).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
    return True


ROLES = {"POSTGRES_PASSWORD": "postgres", "GRAASP_DB_PASSWORD": "graasp", "UMAMI_DB_PASSWORD": "umami"}


def test_all_secrets_at_once(site: DemoSite) -> None:
    site.create_item("written before")
    old = values(site)
    started = site.containers()["db"]["State"]["StartedAt"]
    said = site.run("secrets", "rotate", "--all", "--yes").stderr
    new = values(site)
    assert all(new[key] != old[key] for key in (*ROLES, "JWT_SECRET", "MAINTENANCE_HEADER_SECRET"))
    for key, role in ROLES.items():
        assert gets_in(site, role, new[key])
        assert not gets_in(site, role, old[key])
    told = site.status()
    assert (told["state"], told["drift"]) == ("running", [])
    assert site.item_names() == ["written before"]
    assert site.containers()["db"]["State"]["StartedAt"] == started
    environment = site.containers()["umami"]["Config"]["Env"]
    assert f"APP_SECRET={new['UMAMI_APP_SECRET']}" in environment
    assert not [value for value in (*old.values(), *new.values()) if len(value or "") >= 32 and value in said]
    log = site.run("logs", "db", "-n", "1000").stdout
    assert not [key for key in ROLES if new[key] in log]


def test_umamis_secret_leaves_everything_else_alone(site: DemoSite) -> None:
    before = {name: found["Id"] for name, found in site.containers().items()}
    site.run("secrets", "rotate", "UMAMI_APP_SECRET", "--yes")
    after = {name: found["Id"] for name, found in site.containers().items()}
    assert [name for name in before if before[name] != after[name]] == ["umami"]
    assert site.status()["state"] == "running"


@pytest.mark.parametrize("database_has_it", [False, True])
def test_a_rotation_that_was_cut_off_is_finished_by_the_next_command(site: DemoSite, *, database_has_it: bool) -> None:
    """Killed on either side of the moment in which the database takes the new passwords."""
    old = values(site)
    new = {key: f"{old[key][::-1]}-{database_has_it}" for key in ROLES}
    note = site.directory / ".graasp-local" / "rotation.env"
    note.write_text("".join(f"{key}={value}\n" for key, value in new.items()))
    if database_has_it:
        for key, role in ROLES.items():
            statement = f"ALTER ROLE {role} PASSWORD '{new[key]}'"
            # As a user of the machine, who needs no password: the superuser's is changed first.
            site.run("compose", "--", "exec", "-T", "db", "psql", "-U", "postgres", "-c", statement)
    said = site.run("apply", "running").stderr
    assert "Finished the interrupted rotation" in said
    assert {key: values(site)[key] for key in ROLES} == new
    assert all(gets_in(site, role, new[key]) for key, role in ROLES.items())
    assert not note.exists()
    assert site.status()["state"] == "running"
    assert site.item_names() == ["written before"]


def test_the_terminal_ui_finishes_one_too(site: DemoSite, capsys: pytest.CaptureFixture[str]) -> None:
    new = f"{values(site)['GRAASP_DB_PASSWORD'][::-1]}-by-the-ui"
    note = site.directory / ".graasp-local" / "rotation.env"
    note.write_text(f"GRAASP_DB_PASSWORD={new}\n")
    finish_what_was_cut_off(site.directory)
    assert "Finished the interrupted rotation" in capsys.readouterr().err
    assert gets_in(site, "graasp", new)
    assert not note.exists()
    site.run("apply", "running")


def test_a_database_that_is_off_is_a_refusal_and_nothing_is_changed(site: DemoSite) -> None:
    site.run("apply", "stopped")
    env = (site.directory / ".env").read_text()
    said = site.run("secrets", "rotate", "GRAASP_DB_PASSWORD", "--yes", code=10).stderr
    assert "apply db-only" in said
    assert (site.directory / ".env").read_text() == env
    site.run("secrets", "rotate", "JWT_SECRET", "--yes")
    assert (site.directory / ".env").read_text() != env
    site.run("apply", "running")
    assert site.item_names() == ["written before"]


def test_without_a_terminal_it_needs_yes_and_a_dry_run_changes_nothing(site: DemoSite) -> None:
    site.run("apply", "running")
    env = (site.directory / ".env").read_text()
    assert "--yes" in site.run("secrets", "rotate", "JWT_SECRET", code=10).stderr
    shown = site.run("secrets", "rotate", "JWT_SECRET", "--dry-run")
    assert "All users are logged out" in shown.stderr
    assert "core" in shown.stdout
    assert "workers" in shown.stdout
    assert (site.directory / ".env").read_text() == env
