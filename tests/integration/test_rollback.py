"""Going back from a deployment that succeeded: with the code alone, or with the database from before it."""

from __future__ import annotations

import os
import pty
import sys

from tests.integration.demo_site import DemoSite


def databases(site: DemoSite) -> list[str]:
    return [name for (name,) in site.database("postgres", "SELECT datname FROM pg_database")]


def rolled_back_on_a_terminal(site: DemoSite, answer: str) -> int:
    """Type an answer to the question of `rollback`; returns the exit code."""
    process, terminal = pty.fork()
    if process == 0:
        words = [sys.executable, "-m", "graasp_local.cli.main", "--site", str(site.directory), "rollback"]
        os.execv(sys.executable, words)
    said, answers = b"", [answer, "y"]
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the process has closed its end
            break
        said += chunk
        if answers and (b"to discard it:" in said or b"Go ahead?" in said):
            os.write(terminal, answers.pop(0).encode() + b"\n")
            said = b""
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def test_with_a_migration_between_it_says_what_would_be_lost_and_asks_for_consent(site: DemoSite) -> None:
    site.create_item("written with 1.0.0")
    site.deploy("1.1.0")
    site.create_item("written with 1.1.0")
    refused = site.run("rollback", code=10).stderr
    assert "including 1 new row(s), would be discarded" in refused
    assert rolled_back_on_a_terminal(site, "not-its-name") == 10
    assert (site.status()["version"], len(site.item_names())) == ("1.1.0", 2)
    assert rolled_back_on_a_terminal(site, site.project) == 0
    told = site.status()
    assert (told["state"], told["gate"], told["version"]) == ("running", "open", "1.0.0")
    assert site.item_names() == ["written with 1.0.0"]
    assert any(name.startswith("graasp_failed_") for name in databases(site))
    assert site.deploy("1.1.0")["outcome"] == "done"


def test_without_a_migration_between_nothing_that_was_written_is_lost(site: DemoSite) -> None:
    site.deploy("1.1.0")
    site.deploy("1.2.0")
    site.create_item("written with 1.2.0")
    written = site.item_names()
    site.run("rollback")
    told = site.status()
    assert (told["state"], told["gate"], told["version"]) == ("running", "open", "1.1.0")
    assert site.item_names() == written
