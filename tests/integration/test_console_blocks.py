"""The console blocks of the pages that show no output are typed on a demo site, on a terminal, in their order.

Blocks with output are run on fake sites (tests/unit/test_console_runs.py). What cannot be typed here is in `NOT_TYPED`,
each with the reason or with the test that does the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from graasp_local.testing.ports import free_port
from tests.integration.demo_site import DemoSite
from tests.unit.test_console_blocks import PAGES, blocks, commands

MACHINE = "changes the machine itself: its packages or its systemd units"
NO_REGISTRY = "the demo images are in no registry"
NOT_TYPED = {
    "apt-get ": MACHINE,
    "systemctl ": MACHINE,
    "docker version ": "only tells what the machine has",
    "docker system df": "only tells what the machine has",
    "docker image prune": "removes images of the machine that no test made",
    "scripts/setup": ".ci/run begins with it",
    "scripts/check": ".ci/run runs it",
    "scripts/test": ".ci/run is this; with --matrix it takes more than an hour",
    "./scripts/test": ".ci/run is this",
    "./scripts/demo": "takes the port 8080 of the machine; tried by hand",
    "source .venv/bin/activate": "the tests run in this environment",
    "python3 -m venv": "test_wheel.py installs into a new environment",
    ".venv/bin/pip install": "test_wheel.py installs into a new environment",
    ".venv/bin/pytest --graasp-version": "test_plugin.py",
    "pipx install": "test_wheel.py installs with pip, which pipx calls",
    "PIPX_HOME=": "test_wheel.py installs with pip, which pipx calls",
    "python -m graasp_local.testing": "test_testing_stack.py",
    "graasp-local tui": "test_tui_end_to_end.py",
    "graasp-local init /srv/graasp\n": "asks for the domain and more: tests/unit/test_new_site.py",
    "graasp-local compose -- pull": NO_REGISTRY,
    "graasp-local upgrade-database": "test_upgrade_database.py",
    "graasp-local compose -- rm --stop --force reports": "reports is an example of a service of one's own",
    "graasp-local compose -- exec db psql -U postgres -c '\\password": "asks for a password",
    "curl ": "asks core for something that only the real one has",
    "mkdir -m 700 /srv/graasp": "a new machine: test_backup.py",
    "graasp-local backup settings /mnt": "a new machine: test_backup.py",
    "chmod 600 /srv/graasp/.env": "a new machine: test_backup.py",
    "graasp-local --site /srv/graasp restore /mnt": "a new machine: test_backup.py",
}


def is_typed(command: str) -> bool:
    """Whether a command is typed here; `graasp-local` alone is the terminal UI."""
    return command != "graasp-local" and not f"{command}\n".startswith(tuple(NOT_TYPED))


def silent_blocks() -> Iterator[tuple[str, list[str]]]:
    """Page and commands of each block without output, less what is not typed here."""
    for page in PAGES:
        for _, lines in blocks(page):
            typed = [command for command in commands(lines) if is_typed(command)]
            if len(commands(lines)) == len(list(filter(None, lines))) and any("graasp-local" in one for one in typed):
                yield page.name, typed


def discards(typed: list[str]) -> bool:
    """Whether a block asks for the site's name, because it replaces the site's data."""
    return any(" rollback" in command or " restore " in command for command in typed)


def undoes(typed: list[str]) -> bool:
    """Whether a block leaves a site that no other block can be typed on."""
    return any(" rollback" in command or " down " in command for command in typed)


def the_blocks(*, undoing: bool) -> list[ParameterSet]:
    return [
        pytest.param(typed, id=f"{page}: {'; '.join(typed)}")
        for page, typed in silent_blocks()
        if undoes(typed) == undoing
    ]


class Terminal:
    """A terminal in the site's directory, in front of which somebody agrees to what is asked."""

    def __init__(self, site: DemoSite, place: Path) -> None:
        self.site = site
        self.place = place
        (place / "passphrase").write_text("correct horse battery staple\n")
        (place / "passphrase").chmod(0o600)

    def here(self, command: str) -> str:
        """The command with this site's names in the place of the page's."""
        site = self.site
        for theirs, ours in {
            "2.14.2": "1.1.0",
            "/root/graasp-backup-passphrase": str(self.place / "passphrase"),
            "init /srv/graasp": f"init {self.place / 'new'}",
            "/srv/graasp": str(site.directory),
            "/tmp/try": str(self.place / "try"),
            "--project try --port 8099": f"--project gltest-{uuid.uuid4().hex[:8]} --port {free_port()}",
            "graasp_search-data": f"{site.project}_search-data",
            "-- exec db psql": "-- exec -T db psql",  # on a terminal it shows its list in a pager
        }.items():
            command = command.replace(theirs, ours)
        if "history 0002-" in command:
            newest = json.loads(site.run("history", "--json").stdout.splitlines()[0])
            command = f"graasp-local history {newest['walk']}"
        if command.endswith(" -f"):  # until Ctrl-C
            return f"timeout --signal INT 2 {command} </dev/null || test $? = 124"
        return command

    def type(self, typed: list[str]) -> str:
        """Type the commands one after the other, up to one that fails; returns what the screen shows."""
        script = "\n".join(["set -e", *map(self.here, typed)])
        answers = [self.site.project] if discards(typed) else []
        done = subprocess.run(
            ["script", "--quiet", "--return", "--command", script, "/dev/null"],
            input="\n".join([*answers, *["y"] * 8, ""]),
            capture_output=True,
            text=True,
            timeout=300,
            cwd=self.site.directory,
            env={**self.site.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout


@pytest.mark.parametrize("typed", the_blocks(undoing=False))
def test_a_block_can_be_typed(typed: list[str], site: DemoSite, tmp_path: Path) -> None:
    site.deploy("1.1.0")
    site.run("backup")
    Terminal(site, tmp_path).type(typed)


@pytest.mark.parametrize("typed", the_blocks(undoing=True))
def test_a_block_that_undoes_can_be_typed(typed: list[str], new_site: DemoSite, tmp_path: Path) -> None:
    new_site.deploy("1.0.0")
    new_site.deploy("1.1.0")
    Terminal(new_site, tmp_path).type(typed)


def test_what_is_not_typed_is_still_there() -> None:
    everything = [f"{command}\n" for page in PAGES for _, lines in blocks(page) for command in commands(lines)]
    assert [start for start in NOT_TYPED if not any(command.startswith(start) for command in everything)] == []
