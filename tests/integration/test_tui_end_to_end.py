"""The terminal UI on a real engine in a real terminal: deploy by keys, watch one fail, fix what was killed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_site import COMMAND, DemoSite

GIVE_UP_SECONDS = 240.0


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
        """As when someone closes the window: what runs in it gets SIGHUP."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A site with 1.0.0, removed afterwards."""
    site = DemoSite(tmp_path / "site")
    try:
        site.deploy("1.0.0")
        yield site.directory
    finally:
        site.down()


def test_open_deploy_by_keys_watch_a_bad_version_fail_and_quit(site: Path) -> None:
    terminal = Terminal([*COMMAND, "--site", str(site)])
    try:
        deploy_by_keys(terminal, "1.1.0")
        terminal.wait_for("Done in", "version 1.1.0", "The site was closed", "o open the site", "z go back to 1.0.0")
        terminal.keys("Escape")
        terminal.wait_for("Version 1.1.0", "closed for", "v1.1.0")

        deploy_by_keys(terminal, "1.3.0-migration-fails")
        terminal.wait_for("✗ Run migrations of 1.3.0-migration-fails", "exit code 1", "↺")

        terminal.keys("q")
        terminal.wait_for("ended with")
        assert "Traceback" not in terminal.screen
    finally:
        terminal.end()

    newest, before, first = operations_of(site)
    assert [operation["command"].rpartition(" ")[2] for operation in (newest, before, first)] == [
        "1.3.0-migration-fails",
        "1.1.0",
        "1.0.0",
    ]
    assert (before["outcome"], newest["outcome"]) == ("done", "rolled-back")


def test_closing_the_terminal_during_an_operation_rolls_it_back(site: Path) -> None:
    terminal = Terminal([*COMMAND, "--site", str(site)])
    try:
        deploy_by_keys(terminal, "1.1.0")
        terminal.wait_for("▶ Start redis, core")
    finally:
        terminal.end()
    wait_until(lambda: operations_of(site)[0]["outcome"] != "under-way", "the operation did not end")
    assert operations_of(site)[0]["outcome"] == "rolled-back"
    told = status_of(site)
    assert (told["state"], told["version"], told["next"]) == ("running", "1.0.0", [])


def test_a_killed_deployment_is_rolled_back_and_another_one_resumed_by_keys(site: Path) -> None:
    kill_deployment_during(site, "start-graasp")
    terminal = Terminal([*COMMAND, "--site", str(site)])
    try:
        terminal.wait_for(" killed ", "c graasp-local resume", "z graasp-local rollback")
        terminal.keys("z")
        terminal.wait_for("Undo the last deployment", "Go ahead")
        terminal.keys("G", "y")
        terminal.wait_for("Done in", "version 1.0.0")
        terminal.keys("Escape")
        terminal.wait_for("● running", "Version 1.0.0")

        # While the UI is open: it shows the operation of the other process, and then that it was killed.
        kill_deployment_during(
            site, "start-graasp", watching=lambda: terminal.wait_for("▶ graasp-local deploy", "w Watch")
        )
        terminal.wait_for("c graasp-local resume")
        terminal.keys("c")
        terminal.wait_for("Finish what was left unfinished", "Go ahead")
        terminal.keys("G", "y")
        terminal.wait_for("Done in", "version 1.1.0", "z go back to 1.0.0")
        assert "Traceback" not in terminal.screen
    finally:
        terminal.end()
    told = status_of(site)
    assert (told["state"], told["version"], told["next"]) == ("running", "1.1.0", [])


def deploy_by_keys(terminal: Terminal, version: str) -> None:
    terminal.wait_for("● running", "✓ core", "healthy")
    terminal.keys("d")
    terminal.wait_for("Deploy a version", "running now")
    terminal.text(version)
    terminal.keys("Enter")
    terminal.wait_for(f"Check that {version}", "Go ahead")
    terminal.keys("G", "y")


def kill_deployment_during(site: Path, step: str, watching: Callable[[], object] = lambda: None) -> None:
    """SIGKILL to a headless deployment of 1.1.0 that has begun this step, and is held there while it is watched."""
    before = {*(site / "journal").glob("*.jsonl")}
    process = subprocess.Popen(
        [*COMMAND, "--site", str(site), "deploy", "--version", "1.1.0", "-y"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def has_begun() -> bool:
        new = {*(site / "journal").glob("*.jsonl")} - before
        lines = [line for file in new for line in file.read_text().splitlines(keepends=True)]
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return any(record["event"] == "step-started" and record["name"] == step for record in records)

    try:
        wait_until(has_begun, f"{step} was not begun")
        process.send_signal(signal.SIGSTOP)
        watching()
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def operations_of(site: Path) -> list[dict[str, Any]]:
    """Newest first."""
    return [json.loads(line) for line in output_of(site, "history").splitlines()]


def status_of(site: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(site, "status"))
    return found


def output_of(site: Path, verb: str) -> str:
    command = [*COMMAND, "--site", str(site), verb, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
