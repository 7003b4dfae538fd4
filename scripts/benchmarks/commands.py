"""Commands that only read, and one observation of many containers."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

from bench_site import GRAASP_LOCAL, BenchSite
from measuring import Figure, Row, alternately, timed

from graasp_local.engine.containers.of_project import PROJECT_LABEL, containers_of
from graasp_local.engine.reach.client import connect

_IMAGE = "localhost/graasp-demo/base:bookworm"


def command_rows(site: BenchSite, rounds: int) -> Iterator[Row]:
    directory = str(site.directory)
    project = ["docker", "compose", "--project-name", site.project]
    figures = alternately(
        {
            "python": lambda: timed([sys.executable, "-c", "pass"]),
            "help": lambda: timed([GRAASP_LOCAL, "--help"]),
            "version": lambda: timed([GRAASP_LOCAL, "--version"]),
            "status": lambda: timed([GRAASP_LOCAL, "--site", directory, "status"]),
            "ps": lambda: timed(["docker", "compose", *site.compose_arguments(), "ps"]),
            "ps by name": lambda: timed([*project, "ps"]),
        },
        rounds,
    )
    allowed = Figure(tuple(2 * seconds + 0.1 for seconds in figures["python"].seconds))
    for name in ("help", "version"):
        yield Row(f"--{name}", figures[name], "twice an empty Python, plus 100 ms", allowed, "1")
    yield Row("status", figures["status"], "docker compose ps with the site's files", figures["ps"], "1")
    yield Row("status", figures["status"], "docker compose ps with the project's name only", figures["ps by name"])


def observation_rows(numbers: tuple[int, ...], rounds: int) -> Iterator[Row]:
    """One observation of this many containers, against the Docker SDK's list, which makes one more call for each."""
    client = connect()
    for number in numbers:
        project = f"glbench-{uuid.uuid4().hex[:8]}"
        try:
            for _ in range(number):
                client.api.create_container(_IMAGE, ["true"], labels={PROJECT_LABEL: project})

            def one_call(project: str = project) -> float:
                began = time.perf_counter()
                containers_of(project)
                return time.perf_counter() - began

            def a_call_each(project: str = project) -> float:
                began = time.perf_counter()
                client.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={project}"})
                return time.perf_counter() - began

            figures = alternately({"ours": one_call, "theirs": a_call_each}, rounds)
            yield Row(f"listing {number} containers", figures["ours"], "one call per container", figures["theirs"])
        finally:
            ids = [container["Id"] for container in containers_of(project)]
            for start in range(0, len(ids), 50):
                subprocess.run(["docker", "rm", "--force", *ids[start : start + 50]], check=True, capture_output=True)
