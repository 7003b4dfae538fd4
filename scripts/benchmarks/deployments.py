"""A deployment with one migration, alternately by graasp-local, by the shortest script, and as people do it today."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench_site import AFTER, BenchSite
from measuring import Figure, Row, alternately, timed

from graasp_local.site import prepare

HERE = Path(__file__).parent
Parts = dict[str, float]


def deployment_rows(site: BenchSite, rounds: int) -> tuple[list[Row], Parts]:
    """The rows, and how long each step of graasp-local took (medians, seconds)."""
    site.run("apply", "db-only")
    site.remember_database()
    downtimes: dict[str, list[float]] = {"ours": [], "floor": [], "today": []}
    steps: dict[str, list[float]] = {}
    arguments = [site.project, *site.compose_arguments(AFTER)]

    def ours() -> float:
        site.restore_rows()
        with site.probed(downtimes["ours"]):
            began = time.perf_counter()
            ended = site.deploy(AFTER)
            took = time.perf_counter() - began
        for step in ended["steps"]:
            steps.setdefault(step["name"], []).append(step["seconds"])
        return took

    def script(name: str) -> float:
        site.restore_rows()
        # Each command of graasp-local writes the file that names the version for Compose.
        prepare.candidate_file(site.site, AFTER)
        with site.probed(downtimes[name]):
            return timed([str(HERE / f"{name}.sh"), *arguments])

    whole = alternately({"ours": ours, "floor": lambda: script("floor"), "today": lambda: script("today")}, rounds)
    closed = {name: Figure(tuple(seconds)) for name, seconds in downtimes.items()}
    rows = [*_against("floor", "the same with a plain shell script", closed, whole)]
    rows += _against("today", "down, run migrate, up --wait", closed, whole)
    return rows, {name: median(seconds) for name, seconds in steps.items()}


def _against(name: str, compared_to: str, closed: dict[str, Figure], whole: dict[str, Figure]) -> Iterator[Row]:
    is_floor = name == "floor"
    yield Row("downtime of a deployment", closed["ours"], compared_to, closed[name], "1" if is_floor else "")
    yield Row(
        "the whole deployment, checks included",
        whole["ours"],
        compared_to,
        whole[name],
        "0.5 s more" if is_floor else "",
    )
