"""A real site with the demo images, driven by the command line and HTTP, and checked by asking the engine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.services import SERVICE_LABEL
from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import GROUP_LABEL
from graasp_local.testing import GraaspStack
from graasp_local.testing.recipe import as_yaml, merged, read_override
from tests.integration import warm

COMMAND = [sys.executable, "-m", "graasp_local.cli.main"]
GIVE_UP_SECONDS = 180.0
LONGEST_SECONDS = 300.0
"""How long a command may take."""
started: list[subprocess.Popen[str]] = []
"""What was started and not run to its end: see tests/integration/conftest.py."""
NETWORKS = ("front", "back", "inside", "administration", "data", "embeds")

AS_BROWSER = {"Accept": "text/html,application/xhtml+xml"}
AS_PROGRAM = {"Accept": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = GIVE_UP_SECONDS) -> None:
    """Check until the condition holds; fail with `what` if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class DemoSite:
    """The site of a GraaspStack, driven by the command line as its user would. `docker_host` names another engine.

    On another engine, its networks come from that engine's pool: scripts/private-engine allows no other addresses.
    """

    def __init__(self, directory: Path, docker_host: str | None = None, command: Sequence[str] = COMMAND) -> None:
        self.command = command
        self.environment = {**os.environ, **({"DOCKER_HOST": docker_host} if docker_host else {})}
        self.stack = GraaspStack().with_site(directory)
        if docker_host is not None:
            pooled = {name: {"driver": "bridge"} for name in NETWORKS}
            self.stack.with_engine(docker_host).with_override({"networks": pooled})
        self.stack.create()
        self.directory = self.stack.site.directory
        self.project = self.stack.site.settings.project
        self.port = self.stack.site.settings.port

    def init_again(self) -> None:
        """Create the site again, by the command that is under test. It loses what only tests need."""
        shutil.rmtree(self.directory)
        words = ("--demo", "--project", self.project, "--port", str(self.port))
        self.run("init", str(self.directory), *words, on_site=False)

    def run(
        self, *words: str, code: int = 0, on_site: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; fail the test unless it ends with this exit code."""
        words = ("--site", str(self.directory), *words) if on_site else words
        done = self._ended(words, env or {})
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def _ended(self, words: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **env}
        if self.command == COMMAND and warm.can_run(env):
            return warm.run(words, environment, LONGEST_SECONDS)
        return subprocess.run(
            [*self.command, *words],
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            stdin=subprocess.DEVNULL,
            env=environment,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in its own process group, as a terminal would. If it goes on after its test, it is killed."""
        started.append(process := self._started(words))
        return process

    def _started(self, words: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, "--site", str(self.directory), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=self.environment,
        )

    def deploy(self, version: str, *words: str, code: int = 0) -> dict[str, Any]:
        """Deploy, and return the last JSON line."""
        done = self.run("deploy", "--version", version, "--json", *words, code=code)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        last: dict[str, Any] = lines[-1]
        assert last["event"] == "operation-ended"
        return last

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return told

    def containers(self, *, one_offs: bool = False) -> dict[str, dict[str, Any]]:
        """The containers as the engine reports them, by service; one-offs are those that run once, such as migrate."""
        with closing(self.engine()) as client:
            found = client.api.containers(all=True, filters={"label": f"{PROJECT_LABEL}={self.project}"})
            return {
                c["Labels"][SERVICE_LABEL]: client.api.inspect_container(c["Id"])
                for c in found
                if _is_one_off(c["Labels"]) == one_offs
            }

    def migration_runs(self) -> bool:
        """Whether the migration is running. Its container is created before the gate closes, and starts later."""
        found = self.containers(one_offs=True).get("migrate")
        return found is not None and found["State"]["Running"]

    def engine(self) -> docker.DockerClient:
        return docker.from_env(environment=self.environment)

    def running(self) -> set[str]:
        return {name for name, found in self.containers().items() if found["State"]["Running"]}

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] = AS_PROGRAM,
        method: str = "GET",
        body: str | None = None,
        timeout: float = 70.0,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, text)
        finally:
            connection.close()

    def secrets(self) -> dict[str, str]:
        told: dict[str, str] = json.loads(self.run("bypass", "--json").stdout)
        return told

    def bypass(self) -> dict[str, str]:
        return self.stack.get_bypass_headers()

    def create_item(self, name: str) -> str:
        answer = self.ask(
            "/api/items", {"Content-Type": "application/json", **self.bypass()}, "POST", json.dumps({"name": name})
        )
        assert answer.status == 201, answer
        return str(answer.json()["id"])

    def item_names(self) -> list[str]:
        answer = self.ask("/api/items", {**AS_PROGRAM, **self.bypass()})
        assert answer.status == 200, answer
        return [item["name"] for item in answer.json()]

    def configure(self, **settings: str) -> None:
        """Set keys of `.env`, as a user would with an editor."""
        file = self.directory / ".env"
        lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in settings]
        file.write_text("\n".join([*lines, *(f"{key}={value}" for key, value in settings.items())]) + "\n")

    def amend_override(self, content: Mapping[str, Any]) -> None:
        """Add to the override of the site, as a user would with an editor."""
        file = self.directory / "compose.override.yaml"
        file.write_text(as_yaml(merged(read_override(file), content)))

    def database(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as superuser in a database of the site's server, and return the rows."""
        import psycopg

        with psycopg.connect(self.stack.get_database_url(name, superuser=True), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def setting(self, key: str) -> str:
        """Return the value of a key in `.env`; empty if it is not set."""
        return self.stack.site.settings.values.get(key, "")

    def down(self) -> None:
        self.stack.stop()


def _is_one_off(labels: Mapping[str, str]) -> bool:
    return labels["com.docker.compose.oneoff"] == "True" or labels.get(GROUP_LABEL) == ServiceGroup.MIGRATION
