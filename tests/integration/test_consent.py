"""Every verb that asks is agreed to in one way, `--yes`, and what would be lost is given up in one way, `--discard`.

Each is run at a terminal, where it asks and "no" changes nothing, and at a terminal with `--yes`, where it asks
nothing. From a script, without a terminal, the tests of each verb run it.
"""

from __future__ import annotations

import click
import pytest

from graasp_local.cli.main import cli
from tests.integration.demo_site import COMMAND, DemoSite
from tests.terminal import at_a_terminal
from tests.unit.test_help import COMMANDS

GO_AHEAD = "Go ahead?"
SITES_NAME = "Type the site's name"
RUN_HERE = {
    *("apply", "deploy", "remove-old-database", "restore", "resume", "rollback"),
    *("scale", "secrets rotate", "upgrade-database"),
}
IN_UNIT_TESTS = {"init"}
"""tests/unit/test_new_site.py: it needs no engine."""


def options_of(name: str) -> set[str]:
    command: click.Command = cli
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return {option for parameter in command.params for option in parameter.opts}


def answered(site: DemoSite, *words: str, question: str, answer: str) -> str:
    """Run a command at a terminal that must ask this; returns what it said."""
    with at_a_terminal(*COMMAND, "--site", str(site.directory), *words) as terminal:
        terminal.answer(question, answer)
        assert terminal.end() in (0, 10), terminal.said
        return terminal.said


def unasked(site: DemoSite, *words: str, code: int = 0) -> str:
    """Run a command at a terminal where no one types anything; returns what it said."""
    with at_a_terminal(*COMMAND, "--site", str(site.directory), *words, limit=180.0) as terminal:
        assert terminal.end() == code, terminal.said
    assert GO_AHEAD not in terminal.said
    assert SITES_NAME not in terminal.said
    return terminal.said


@pytest.fixture(scope="module")
def backed_up(site: DemoSite) -> DemoSite:
    site.run("backup")
    return site


def test_every_verb_with_yes_is_run_here() -> None:
    assert {name for name in COMMANDS if "--yes" in options_of(name)} == RUN_HERE | IN_UNIT_TESTS
    assert {name for name in COMMANDS if "--discard" in options_of(name)} == {
        *("remove-old-database", "restore", "rollback")
    }


def test_apply_asks_nothing_and_takes_yes(site: DemoSite) -> None:
    unasked(site, "apply", "restricted")
    unasked(site, "apply", "running", "--yes")
    site.run("apply", "restricted", "--yes")
    site.run("apply", "running", "-y")
    assert site.status()["state"] == "running"


def test_scale(site: DemoSite) -> None:
    assert "Nothing was changed." in answered(site, "scale", "core=2", question=GO_AHEAD, answer="n")
    assert not site.setting("CORE_REPLICAS")
    unasked(site, "scale", "core=2", "--yes")
    assert {core["replicas"]["healthy"] for core in site.status()["services"] if core["service"] == "core"} == {2}
    site.run("scale", "core=1")


def test_secrets_rotate(site: DemoSite) -> None:
    words = ("secrets", "rotate", "MAINTENANCE_HEADER_SECRET")
    before = site.setting("MAINTENANCE_HEADER_SECRET")
    assert "Nothing was changed." in answered(site, *words, question=GO_AHEAD, answer="n")
    assert "Add --yes to confirm." in site.run(*words, code=10).stderr
    assert site.setting("MAINTENANCE_HEADER_SECRET") == before
    unasked(site, *words, "--yes")
    once = site.setting("MAINTENANCE_HEADER_SECRET")
    site.run(*words, "--yes")
    assert len({before, once, site.setting("MAINTENANCE_HEADER_SECRET")}) == 3


def test_deploy_and_rollback(site: DemoSite) -> None:
    deploy = ("deploy", "--version", "1.1.0", "--no-backup")
    assert "Nothing was changed." in answered(site, *deploy, question=GO_AHEAD, answer="n")
    assert site.status()["version"] == "1.0.0"
    unasked(site, *deploy, "--yes")
    assert site.status()["version"] == "1.1.0"
    site.create_item("written since")

    for words in (("rollback",), ("rollback", "--yes")):
        assert "--discard written-since" in site.run(*words, code=10).stderr
    assert "not the site's name" in answered(site, "rollback", question=SITES_NAME, answer="another")
    assert site.status()["version"] == "1.1.0"
    unasked(site, "rollback", "--yes", "--discard", "written-since")
    assert site.status()["version"] == "1.0.0"
    assert "written since" not in site.item_names()


def test_resume(site: DemoSite) -> None:
    site.deploy("1.3.0-migration-fails", "--on-failure", "hold", code=21)
    assert "Nothing was changed." in answered(site, "resume", question=GO_AHEAD, answer="n")
    unasked(site, "resume", "--yes", code=21)
    site.run("resume", "--yes", "--on-failure", "rollback", code=20)
    assert (site.status()["state"], site.status()["version"]) == ("running", "1.0.0")


def test_restore(backed_up: DemoSite) -> None:
    site = backed_up
    site.create_item("written since")
    for words in (("restore", "latest"), ("restore", "latest", "--yes")):
        assert "--discard current-data" in site.run(*words, code=10).stderr
    assert "not the site's name" in answered(site, "restore", "latest", question=SITES_NAME, answer="another")
    assert "written since" in site.item_names()
    unasked(site, "restore", "latest", "--yes", "--discard", "current-data")
    assert "written since" not in site.item_names()


def test_upgrade_database_and_remove_old_database(site: DemoSite) -> None:
    """The last one on this site."""
    upgrade = ("upgrade-database", "--to", "17")
    assert "Nothing was changed." in answered(site, *upgrade, question=GO_AHEAD, answer="n")
    unasked(site, *upgrade, "--yes")
    assert site.database("graasp", "SHOW server_version_num")[0][0].startswith("17")

    remove = ("remove-old-database",)
    for words in (remove, (*remove, "--yes")):
        assert "--discard old-database" in site.run(*words, code=10).stderr
    assert "not the site's name" in answered(site, *remove, question=SITES_NAME, answer="another")
    assert f"{site.project}_db-data" in unasked(site, *remove, "--yes", "--discard", "old-database")
    assert "Nothing to remove" in site.run(*remove, "--discard", "old-database").stdout
