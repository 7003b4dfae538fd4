"""A site to damage, and what is checked afterwards: data, state, gate, exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graasp_local.errors import NeedsYou, UsageError
from tests.integration.demo_site import COMMAND, DemoSite, wait_for
from tests.matrix.faulty import VARIABLE, Point, What

FAULTY = [sys.executable, "-m", "tests.matrix.faulty"]
REPOSITORY = Path(__file__).parents[2]
KILLED = -9
BASELINE_ROWS = 200

_ITEMS = "SELECT id, md5(id::text || name || created_at) FROM item"
"""The columns of an item in 1.0.0; no later version changes their values."""
_EVENTS = "SELECT id, md5(website_event::text) FROM website_event"
_SEED_ITEMS = f"INSERT INTO item (name) SELECT 'baseline ' || n FROM generate_series(1, {BASELINE_ROWS}) AS n"
_SEED_EVENTS = f"INSERT INTO website_event (at) SELECT now() FROM generate_series(1, {BASELINE_ROWS})"
_UNDO_1_1_0 = """
ALTER TABLE item DROP COLUMN IF EXISTS lang;
DELETE FROM drizzle.__drizzle_migrations WHERE id > 2
"""


@dataclass(frozen=True)
class Data:
    """The checksum of every row of Graasp and umami, by key."""

    rows: Mapping[str, str]

    def __str__(self) -> str:
        everything = "".join(f"{key}{self.rows[key]}" for key in sorted(self.rows))
        return f"{len(self.rows)} rows, md5 {hashlib.md5(everything.encode()).hexdigest()[:8]}"

    def restricted_to(self, other: Data) -> Data:
        """Only the rows that `other` has too, for a comparison."""
        return Data({key: row for key, row in self.rows.items() if key in other.rows})


@dataclass(frozen=True)
class Ended:
    """How a command ended. `last` is its last JSON line, empty if it wrote none."""

    code: int
    last: Mapping[str, Any]
    said: str


@dataclass
class Visitor:
    """A visitor who writes all the time, without the bypass, and records which writes core confirmed."""

    site: MatrixSite
    confirmed: list[str] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)
    _left: threading.Event = field(default_factory=threading.Event)

    def stay(self) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        number = 0
        while not self._left.wait(0.25):
            number += 1
            try:
                answer = self.site.ask("/api/items", headers, "POST", json.dumps({"name": f"visitor {number}"}), 10)
                if answer.status == 201:
                    self.confirmed.append(str(answer.json()["id"]))
                else:
                    self.turned_away.append(str(answer.status))
            except (OSError, ValueError, ArithmeticError) as error:
                self.turned_away.append(repr(error))  # cut off, so not confirmed

    def leave(self) -> None:
        self._left.set()


class MatrixSite(DemoSite):
    """A site that runs 1.0.0, with rows in Graasp's and umami's databases."""

    def __init__(self, directory: Path, docker_host: str | None = None) -> None:
        super().__init__(directory, docker_host)
        # tests.matrix.faulty is a module of this repository; find it from any working directory.
        self.environment["PYTHONPATH"] = str(REPOSITORY)

    def make_ready(self) -> None:
        self.deploy("1.0.0")
        self.sql(_SEED_ITEMS)
        self.sql(_SEED_EVENTS, "umami")

    def back_to_1_0_0(self) -> None:
        """Undo 1.1.0 by hand after a case that ended with it; graasp-local cannot revert a migration."""
        self.sql(_UNDO_1_1_0)
        self.deploy("1.0.0")

    def sql(self, statements: str, database: str = "graasp") -> list[list[str]]:
        """Run SQL inside the container, so that it works even if the published port does not."""
        psql = ["psql", "-U", "postgres", "-d", database, "-qAtF", "\t", "-v", "ON_ERROR_STOP=1", "-c", statements]
        output = b""

        def answered() -> bool:
            nonlocal output
            try:
                done = self.stack.exec("db", psql)
            except (UsageError, NeedsYou):  # its container is starting
                return False
            output = done.output
            on_its_way_up = (b"Connection refused", b"No such file", b"starting up", b"recovery mode")
            if any(text in output for text in on_its_way_up):
                return False
            assert done.exit_code == 0, output.decode(errors="replace")
            return True

        wait_for(answered, "Postgres answers inside its container")
        return [line.split("\t") for line in output.decode().splitlines()]

    def fix(self) -> None:
        """Return to 1.0.0 and running after a failed case, whatever state it left behind, for the next case."""
        for verb in ("rollback", "resume"):
            if self.status()["unfinished"]:
                self.end(verb)
        if self.status()["version"] != "1.0.0":
            self.run("apply", "running")
            self.back_to_1_0_0()
        self.run("apply", "running")

    def data(self) -> Data:
        items = {f"item {key}": row for key, row in self.sql(_ITEMS)}
        events = {f"event {key}": row for key, row in self.sql(_EVENTS, "umami")}
        return Data({**items, **events})

    def databases(self) -> set[str]:
        return {name for (name,) in self.sql("SELECT datname FROM pg_database")}

    @contextmanager
    def visited(self) -> Iterator[Visitor]:
        visitor = Visitor(self)
        thread = threading.Thread(target=visitor.stay)
        thread.start()
        try:
            yield visitor
        finally:
            visitor.leave()
            thread.join()

    def end(self, *words: str, fault: Point | None = None, seconds: float = 300) -> Ended:
        """Run a command to its end, however it ends."""
        with self._begun(words, fault) as (process, output):
            code = process.wait(timeout=seconds)
            return _ended(code, output)

    @contextmanager
    def met(self, fault_at: Point, *words: str) -> Iterator[Met]:
        """Run a command up to a point, where the test causes its fault."""
        with tempfile.TemporaryDirectory() as meeting:
            point = replace(fault_at, what=What.WAIT, meeting=meeting)
            with self._begun(words, point) as (process, output):
                met = Met(point, process, output)
                wait_for(
                    lambda: point.reached.exists() or process.poll() is not None, f"{point.when} {point.step}", 120
                )
                assert point.reached.exists(), (
                    f"ended before {point.when} {point.step}: {_ended(process.wait(), output)}"
                )
                yield met

    @contextmanager
    def _begun(self, words: tuple[str, ...], fault: Point | None) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        # Output goes to a file, because a docker command that outlives the killed process would keep a pipe open.
        with tempfile.NamedTemporaryFile() as output:
            process = subprocess.Popen(
                [*(FAULTY if fault else COMMAND), "--site", str(self.directory), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, **(fault.as_variable() if fault else {VARIABLE: ""})},
                start_new_session=True,
            )
            try:
                yield process, Path(output.name)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()


@dataclass
class Met:
    """An operation that waits at a point."""

    point: Point
    process: subprocess.Popen[bytes]
    output: Path

    def go_on(self, seconds: float = 300) -> Ended:
        self.point.go_on.touch()
        return _ended(self.process.wait(timeout=seconds), self.output)


def _ended(code: int, output: Path) -> Ended:
    said = output.read_text(errors="replace")
    assert "Traceback" not in said, said
    last: dict[str, Any] = {}
    for line in said.splitlines():
        if line.startswith("{"):
            try:
                last = json.loads(line)
            except ValueError:  # cut off by the kill
                continue
    return Ended(code, last if last.get("event") == "operation-ended" else {}, said)
