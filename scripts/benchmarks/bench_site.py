"""The site that is measured: demo images, and a database that can be reset to before a migration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from graasp_local.engine.compose.verbs import Compose
from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.engine.nginx.prober import EdgeProber
from graasp_local.engine.site.docker_engine import engine_for
from graasp_local.planning.states import Gate
from graasp_local.site import prepare
from graasp_local.site.site import Site
from graasp_local.version import Version

GRAASP_LOCAL = str(Path(sys.executable).parent / "graasp-local")
BEFORE, AFTER = Version(1, 0, 0), Version(1, 1, 0)
_READY_SECONDS = 120
SERVICES = ("redis", "meilisearch", "core", "workers")


class BenchSite:
    """A site with a unique `project`."""

    def __init__(self, directory: Path, port: int) -> None:
        self.project = f"glbench-{uuid.uuid4().hex[:8]}"
        self.directory = directory
        self.run("init", str(directory), "--demo", "--project", self.project, "--port", str(port))
        self.site = Site(directory)

    def run(self, *words: str) -> str:
        at = [] if words[0] == "init" else ["--site", str(self.directory)]
        done = subprocess.run([GRAASP_LOCAL, *at, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"graasp-local {' '.join(words)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def deploy(self, version: Version) -> dict[str, Any]:
        """Deploy a version, and return the last JSON line."""
        last: dict[str, Any] = json.loads(
            self.run("deploy", "--version", str(version), "--no-backup", "--json").splitlines()[-1]
        )
        return last

    def compose_arguments(self, version: Version | None = None) -> list[str]:
        return Compose(self.site, lambda _: None).arguments(version)

    def compose(self, *words: str, version: Version | None = None) -> None:
        subprocess.run(["docker", "compose", *self.compose_arguments(version), *words], check=True, capture_output=True)

    def sql(self, *statements: str, database: str = "postgres") -> str:
        words = [word for statement in statements for word in ("-c", statement)]
        command = ["docker", "exec", "-u", "postgres", f"{self.project}-db-1", "psql", "-qAt", "-v", "ON_ERROR_STOP=1"]
        return subprocess.run([*command, "-d", database, *words], check=True, capture_output=True, text=True).stdout

    def remember_database(self) -> None:
        """Save the database for `restore_rows`; nothing may be connected to it."""
        self.sql(*_ENDED, "CREATE DATABASE bench_before TEMPLATE graasp OWNER graasp STRATEGY file_copy")

    def configure(self, key: str, value: str) -> None:
        """Set a key of `.env`, as a person would."""
        env = self.directory / ".env"
        text = re.sub(rf"(?m)^#?{key}=.*\n", "", env.read_text())
        env.write_text(f"{text}\n{key}={value}\n")
        self.site = Site(self.directory)

    @contextmanager
    def core_checked_by(self, check: dict[str, Any]) -> Iterator[None]:
        """Containers of core that are created inside the block have this health check."""
        before = self.site.override_file.read_text()
        override = yaml.safe_load(before)
        override["services"]["core"]["healthcheck"].update(check)
        self.site.override_file.write_text(yaml.safe_dump(override))
        try:
            yield
        finally:
            self.site.override_file.write_text(before)

    def restore_rows(self) -> None:
        """Reset the site to before the migration: gate open, version BEFORE."""
        prepare.select(self.site, BEFORE)
        self.compose("up", "--detach", "--wait", "db", "nginx", "umami")
        self.compose("stop", *SERVICES)
        old = self.sql("SELECT datname FROM pg_database WHERE datname ~ '^(graasp_|bench_snapshot)'").split()
        self.sql(*_ENDED, *(f'DROP DATABASE "{name}" WITH (FORCE)' for name in ["graasp", *old]))
        self.sql("CREATE DATABASE graasp TEMPLATE bench_before OWNER graasp STRATEGY file_copy")
        scale = [f"--scale={name}={count}" for name, count in self.site.settings.replicas.items()]
        self.compose("up", "--detach", "--no-deps", *scale, *SERVICES)
        engine_for(self.site).set_gate_flag(Gate.OPEN)
        deadline = time.monotonic() + _READY_SECONDS
        # On a busy machine core may count as unhealthy before it is ready; that is not what is measured here.
        while not self.run("status").startswith("running") or HttpEdge(self.site.settings).core() is None:
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"The site was not ready after {_READY_SECONDS} s: the machine is too busy to measure."
                )
            time.sleep(0.2)

    @contextmanager
    def probed(self, downtimes: list[float]) -> Iterator[None]:
        """Add the downtime of what happens inside the block, as visitors experience it."""
        prober = EdgeProber(HttpEdge(self.site.settings))
        prober.start()
        time.sleep(0.3)
        yield
        downtimes.append(prober.stop(Gate.OPEN).downtime_seconds or float("nan"))

    def down(self) -> None:
        self.compose("--profile", "migration", "down", "--volumes", "--remove-orphans", "--timeout", "1")


_ENDED = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'graasp'",)


@contextmanager
def bench_site(port: int) -> Iterator[BenchSite]:
    with TemporaryDirectory() as directory:
        site = BenchSite(Path(directory) / "site", port)
        try:
            site.deploy(BEFORE)
            yield site
        finally:
            site.down()
