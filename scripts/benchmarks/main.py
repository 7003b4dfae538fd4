"""`scripts/bench`: all benchmarks in one run, one table, and the page that explains how each is measured."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import load
import nodes
import replicas
from bench_site import bench_site
from commands import command_rows, observation_rows
from databases import database_rows, deployment_in_parts, grow, size_of
from deployments import deployment_rows
from measuring import HEADINGS, Row, as_table, shown
from shortcuts import shortcut_rows
from stacks import stack_rows

from graasp_local.site.site import Site

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- Below this line: written by scripts/bench. -->\n"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(words: Sequence[str]) -> None:
    if words[:1] == ["--load"]:
        _load(*words[1:])
        return
    if words not in ([], ["--quick"], ["--testing"], ["--replicas"], ["--nodes"]):
        raise SystemExit(
            "Usage: scripts/bench [--quick | --testing | --replicas | --nodes | --load [SITE HEADER PATH...]]"
        )
    quick = words == ["--quick"]
    if words == ["--replicas"]:
        busy = os.getloadavg()[0]
        with bench_site(free_port()) as site:
            say(as_table([replicas.HEADINGS, *replicas.replica_rows(site, 3)]))
        say(_where(busy))
        return
    if words == ["--nodes"]:
        busy = os.getloadavg()[0]
        with nodes.swarm_site() as several:
            say(as_table([nodes.HEADINGS, *nodes.node_rows(several, 2)]))
        say(_where(busy))
        return
    rows: list[Row] = []
    sections: list[str] = []

    def add(*more: Row) -> None:
        for row in more:
            rows.append(row)
            other = f"{row.compared_to}: {row.theirs.described()}"
            say(f"  {row.what}: {row.ours.described()}; {other}; ratio {row.ratio:.2f}")

    busy = os.getloadavg()[0]
    add(*stack_rows(free_port(), 1 if quick else 7))
    if words == ["--testing"]:
        say("\n" + as_table([HEADINGS, *(row.cells() for row in rows)]))
        say(_where(busy))
        return
    with bench_site(free_port()) as site:
        add(*command_rows(site, 5 if quick else 21))
        add(*observation_rows((5, 50) if quick else (5, 50, 200), 5 if quick else 15))
        deployed, steps = deployment_rows(site, 2 if quick else 7)
        add(*deployed)
        sections.append(_parts("Steps of the deployment above, medians", list(steps.items())))
        if not quick:
            add(*shortcut_rows(site, 7))
        for megabytes in (50,) if quick else (1000, 5000):
            site.restore_rows()
            grow(site, megabytes)
            add(*database_rows(site, 1 if quick else 3))
            heading = f"Closed steps of a deployment with a database of {size_of(site)}, measured once"
            sections.append(_parts(heading, deployment_in_parts(site)))
        if not quick:
            site.restore_rows()
            said = subprocess.run(
                [sys.executable, str(ROOT / "scripts" / "bench-tui"), str(site.directory), "--flood", "--many"],
                capture_output=True,
                text=True,
            )
            lines = said.stdout.strip("\n")
            sections.append(f"### The terminal UI\n\n```\n{lines}\n```")
    table = as_table([HEADINGS, *(row.cells() for row in rows)])
    say("\n" + "\n\n".join([table, *sections]))
    if not quick:
        _write_page(table, sections, busy)
        say(f"\nWritten to {PAGE.relative_to(ROOT)}.")


def _load(directory: str = "", header: str = "", *paths: str) -> None:
    busy = os.getloadavg()[0]
    if directory:
        rows = load.load_rows(Site(Path(directory)), paths or ("/api/version",), header or None)
        say(as_table([load.HEADINGS, *rows]))
    else:
        with bench_site(free_port()) as site:
            say(as_table([load.HEADINGS, *load.load_rows(site.site, ("/api/version", "/api/items"))]))
    say(_where(busy))


def _parts(heading: str, parts: Sequence[tuple[str, float]]) -> str:
    cells = [("step", "seconds"), *((name, shown(seconds)) for name, seconds in parts)]
    return f"### {heading}\n\n{as_table(cells)}"


def _write_page(table: str, sections: Sequence[str], busy: float) -> None:
    kept = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(kept + MARK + "\n" + "\n\n".join([_where(busy), table, *sections]) + "\n")


def _where(busy: float) -> str:
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True
    ).stdout.strip()
    compose = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True).stdout.strip()
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"Docker Engine {engine}, Compose {compose}; load at the start {busy:.1f}."
    )


main(sys.argv[1:])
