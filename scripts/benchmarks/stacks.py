"""A stack for tests: time until it is ready, two at once, reset between two tests, reused by the next run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import requests
from bench_site import BEFORE, BenchSite
from measuring import Figure, Row, alternately

from graasp_local.site import prepare
from graasp_local.testing import GraaspStack

_MEGABYTES = 100
_ROWS_A_MEGABYTE = 2700
_A_TEST = """
import os, time


def test_it(graasp_session):
    with open(os.environ["BENCH_FIRST_TEST"], "w") as file:
        file.write(str(time.time()))
"""


def stack_rows(free_port: int, rounds: int) -> list[Row]:
    """Each figure against what the documentation promises, or against plain Compose, alternately."""
    GraaspStack().with_version(str(BEFORE)).start().stop()  # loads what is loaded once, and warms the machine's cache
    started = alternately({"ours": _started, "compose": lambda: _compose_up(free_port), "two": _two_at_once}, rounds)
    with GraaspStack().with_version(str(BEFORE)) as stack:
        resets = _resets(stack, rounds * 3)
        _fill(stack, _MEGABYTES)
        large = _resets(stack, rounds * 3)
    return [
        Row("first stack ready", started["ours"], "docker compose up --wait", started["compose"], "1.25"),
        Row("two stacks at once", started["two"], "one stack", started["ours"], "1.5"),
        Row("reset, demo data", resets, "0.3 s", _exactly(0.3), "1"),
        Row(f"reset, {_MEGABYTES} MB", large, "one second", _exactly(1.0), "1"),
        Row("--graasp-reuse, to the first test", _reused(rounds), "one second", _exactly(1.0), "1"),
    ]


def _exactly(seconds: float) -> Figure:
    return Figure((seconds,))


@contextmanager
def _ready() -> Iterator[float]:
    """Seconds until a stack is ready; removing it afterwards is not counted."""
    began = time.perf_counter()
    with GraaspStack().with_version(str(BEFORE)):
        yield time.perf_counter() - began


def _started() -> float:
    with _ready() as seconds:
        return seconds


def _two_at_once() -> float:
    stacks = [GraaspStack().with_version(str(BEFORE)) for _ in range(2)]
    began = time.perf_counter()
    try:
        with ThreadPoolExecutor(2) as pool:
            for call in [pool.submit(stack.start) for stack in stacks]:
                call.result()
        return time.perf_counter() - began
    finally:
        for stack in stacks:
            stack.stop()


def _compose_up(port: int) -> float:
    with TemporaryDirectory() as directory:
        site = BenchSite(Path(directory) / "site", port)
        prepare.select(site.site, BEFORE)
        began = time.perf_counter()
        try:
            site.compose("up", "--detach", "--wait")
            return time.perf_counter() - began
        finally:
            site.down()


def _fill(stack: GraaspStack, megabytes: int) -> None:
    with psycopg.connect(stack.get_database_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE filler (id bigint PRIMARY KEY, text text)")
        connection.execute(
            "INSERT INTO filler SELECT n, repeat(md5(n::text), 10) FROM generate_series(1, %s) n",
            (megabytes * _ROWS_A_MEGABYTE,),
        )


def _resets(stack: GraaspStack, rounds: int) -> Figure:
    """Resets after a typical test: two items created, one renamed, one row of the large table (if any) changed."""
    stack.snapshot()
    url = f"{stack.get_url()}/api/items"
    taken = []
    for _ in range(rounds):
        for name in ("one", "two"):
            requests.post(url, json={"name": name}, timeout=30).raise_for_status()
        with psycopg.connect(stack.get_database_url(), autocommit=True) as connection:
            connection.execute("UPDATE item SET name = 'three' WHERE name = 'two'")
            if connection.execute("SELECT to_regclass('filler')").fetchone() != (None,):
                connection.execute("UPDATE filler SET text = 'changed' WHERE id = 1")
        began = time.perf_counter()
        stack.reset()
        taken.append(time.perf_counter() - began)
    return Figure(tuple(taken))


def _reused(rounds: int) -> Figure:
    """From the start of pytest's process to the first line of the test; the very first run makes the stack."""
    with TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "test_it.py").write_text(_A_TEST)
        (place / "tmp").mkdir()
        first = place / "first-test"
        variables = {**os.environ, "TMPDIR": str(place / "tmp"), "BENCH_FIRST_TEST": str(first)}
        words = [sys.executable, "-m", "pytest", "-q", "--graasp-reuse", "--graasp-version", str(BEFORE), "test_it.py"]
        taken = []
        for _ in range(rounds + 1):
            began = time.time()
            subprocess.run(words, check=True, cwd=place, env=variables, stdout=subprocess.DEVNULL)
            taken.append(float(first.read_text()) - began)
        clean = [sys.executable, "-m", "graasp_local.testing", "--clean"]
        subprocess.run(clean, check=True, env=variables, stdout=subprocess.DEVNULL)
        return Figure(tuple(taken[1:]))
