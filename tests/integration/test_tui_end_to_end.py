"""The terminal UI on a real engine in a real terminal: open, deploy by keys, watch a bad version fail, quit."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "graasp_local.cli.main"]
GIVE_UP_SECONDS = 90.0


def free_port() -> int:
    """One of a range of this test's own."""
    for port in range(8400, 8500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port between 8400 and 8499 is free")


class Terminal:
    """A terminal of 80 by 24 in a tmux server of its own, with the UI in it."""

    def __init__(self, command: list[str]) -> None:
        self._tmux = ["tmux", "-L", f"tui-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]
        line = f"{shlex.join(command)}; echo ended with $?; sleep 600"
        self._run("new-session", "-d", "-x", "80", "-y", "24", line)

    def keys(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def text(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def wait_for(self, *texts: str) -> None:
        """Until all of these are on the screen."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while not all(text in (screen := self.screen) for text in texts):
            assert time.monotonic() < deadline, f"{texts} did not come:\n{screen}"
            time.sleep(0.1)

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A site with 1.0.0, taken away afterwards."""
    directory = tmp_path / "site"
    project = f"tui-{uuid.uuid4().hex[:8]}"
    init = ["init", str(directory), "--demo", "--project", project, "--port", str(free_port())]
    subprocess.run([*COMMAND, *init], check=True, capture_output=True)
    on_site = [*COMMAND, "--site", str(directory)]
    try:
        subprocess.run([*on_site, "deploy", "--version", "1.0.0", "-y"], check=True, capture_output=True)
        yield directory
    finally:
        down = ["compose", "--", "--profile", "migration", "down", "--volumes", "--remove-orphans", "--timeout", "1"]
        subprocess.run([*on_site, *down], capture_output=True)


def test_open_deploy_by_keys_watch_a_bad_version_fail_and_quit(site: Path) -> None:
    terminal = Terminal([*COMMAND, "--site", str(site)])
    try:
        terminal.wait_for("● running", "Version 1.0.0", "✓ core", "healthy")

        terminal.keys("d")
        terminal.wait_for("Deploy a version", "running now")
        terminal.text("1.1.0")
        terminal.keys("Enter")
        terminal.wait_for("check that 1.1.0", "Go ahead")
        terminal.keys("y")
        terminal.wait_for("Done in", "version 1.1.0", "The site was closed")
        terminal.keys("Escape")
        terminal.wait_for("Version 1.1.0", "closed for", "v1.1.0")

        terminal.keys("d")
        terminal.wait_for("Deploy a version", "running now")
        terminal.text("1.3.0-migration-fails")
        terminal.keys("Enter")
        terminal.wait_for("Go ahead")
        terminal.keys("y")
        terminal.wait_for("✗ run the migrations of 1.3.0-migration-fails", "exit code 1", "↺")

        terminal.keys("q")
        terminal.wait_for("ended with")
        assert "Traceback" not in terminal.screen
    finally:
        terminal.end()

    history = subprocess.run(
        [*COMMAND, "--site", str(site), "history", "--json"], capture_output=True, text=True, check=True
    )
    walks = [json.loads(line) for line in history.stdout.splitlines()]
    assert [walk["command"].rpartition(" ")[2] for walk in walks] == ["1.3.0-migration-fails", "1.1.0", "1.0.0"]
    assert walks[1]["outcome"] == "done"
    assert walks[0]["outcome"] == "rolled-back"
