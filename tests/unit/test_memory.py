"""What is followed for long takes no more memory the longer it is followed."""

from __future__ import annotations

import json
import queue
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graasp_local.engine.containers.migration_run import DockerMigrationRun, last_frame, stamped_lines
from graasp_local.engine.site import logs
from graasp_local.journal.read import output_of, read_journal

MEGABYTE = 1024 * 1024


class Stream:
    """A log of so many lines; `close` as the engine's streams have it."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._lines):
            yield f"line {number} {'x' * 80}\n".encode()

    def close(self) -> None: ...


def peak_of(lines_each: int, services: int = 20) -> int:
    """The most bytes held while the logs of so many services are followed to their end."""
    pending: queue.Queue[tuple[str, str] | None] = queue.Queue(100)
    tracemalloc.start()
    for number in range(services):
        threading.Thread(target=logs._read, args=(Stream(lines_each), f"s{number}", pending), daemon=True).start()
    ended = 0
    while ended < services:
        ended += pending.get() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_following_twenty_services_does_not_grow_with_their_output() -> None:
    assert peak_of(3000) < peak_of(300) + MEGABYTE


def test_a_line_that_never_ends_comes_in_pieces() -> None:
    pending: queue.Queue[tuple[str, str] | None] = queue.Queue()
    logs._read(iter([b"x" * 10_000] * 100), "core", pending)
    pieces = []
    while (item := pending.get()) is not None:
        pieces.append(item[1])
    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) < 100_000


class Api:
    """An engine whose one container has said these lines by now, each a nanosecond after the other."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked_since: list[float | None] = []

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"Name": "/site-migrate-1"}

    def logs(self, container: str, *, since: float | None, **_: object) -> Iterator[bytes]:
        self.asked_since.append(since)
        for number, line in enumerate(self.said):
            if since is None or number / 1e9 > since - 1_600_000_000 - 1:
                yield f"2020-09-13T12:26:40.{number:09d}Z {line}\n".encode()


class Client:
    def __init__(self) -> None:
        self.api = Api()


def test_each_read_of_a_migration_gives_what_is_new_and_asks_for_no_more() -> None:
    client = Client()
    run = DockerMigrationRun(client, "id")  # type: ignore[arg-type]
    assert list(run.output()) == []
    client.api.said += ["one", "", "two"]
    assert list(run.output()) == ["one", "two"]
    assert list(run.output()) == []
    client.api.said += ["three"]
    assert list(run.output()) == ["three"]
    assert client.api.asked_since[:2] == [None, None]
    assert all(since is not None for since in client.api.asked_since[2:])


def test_a_frame_is_not_a_line() -> None:
    expected = [("2020-01-01T00:00:00.1Z", "hello"), ("2020-01-01T00:00:00.2Z", "world")]
    frames = [b"2020-01-01T00:00:00.1Z hel", b"lo\n2020-01-01T00:00:00.2Z wor", b"ld"]
    assert list(stamped_lines(iter(frames))) == expected


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[2K\r[1] applying...\x1b[2K\r[ok] \x1b[1mdone\x1b[0m", "[ok] done"),
        ("[⣷] applying...\r[⣯] applying...\r[✓] applied\r", "[✓] applied"),
        ("[⣷] applying...\x1b[2K\x1b[G[⣯] applying...\x1b[2K\x1b[1A\x1b[2K\x1b[G[✓] applied", "[✓] applied"),
        ("\x1b[?25l[⣷] applying...\x1b[2K\x1b[G[⣯] applying...", "[⣯] applying..."),
        ("[⣷] applying\r" * 2000 + "[⣷] app2026-01-02T03:04:05.123456789Z lying", "[⣷] applying"),
        ("no spinner", "no spinner"),
    ],
)
def test_of_a_spinner_the_last_frame_is_shown(line: str, shown: str) -> None:
    assert last_frame(line) == shown


class SpinningContainer:
    """As much of docker's client as a run asks: a log that has grown at each look, none of it a whole line."""

    def __init__(self, looks: list[list[str]]) -> None:
        self.api = self
        self._looks = iter(looks)

    def inspect_container(self, _: str) -> dict[str, str]:
        return {"Name": "/migrate"}

    def logs(self, _: str, **__: object) -> Iterator[bytes]:
        return iter([line.encode() for line in next(self._looks)])


def test_a_spinner_that_runs_for_minutes_is_one_line_that_ends() -> None:
    stamp = "2026-01-02T03:04:{:02}.000000000Z "
    looks = [[stamp.format(n) + f"\x1b[2K\r[{glyph}] applying migrations..."] for n, glyph in enumerate("⣷⣯⣟⡿")]
    looks.append([stamp.format(9) + "\x1b[2K\r[⣷] applying migrations...\x1b[2K\r[✓] applied!\n"])
    run = DockerMigrationRun(SpinningContainer(looks), "id")  # type: ignore[arg-type]
    assert [line for _ in looks for line in run.output()] == ["[⣷] applying migrations...", "[✓] applied!"]


@pytest.mark.parametrize("lines", [10, 100_000])
def test_an_operation_with_much_output_is_read_without_keeping_it(tmp_path: Path, lines: int) -> None:
    file = tmp_path / "0001-20260101-000000-deploy-1.1.0.jsonl"
    started = {
        "event": "operation-started",
        "format": 1,
        "at": "x",
        "command": "c",
        "version": "1.1.0",
        "target": "running",
    }
    with file.open("w") as journal:
        journal.write(json.dumps(started) + "\n")
        for number in range(lines):
            journal.write(json.dumps({"event": "step-output", "index": 0, "text": f'line {number} "event"'}) + "\n")
    tracemalloc.start()
    (operation,) = read_journal(tmp_path).operations
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert operation.version == "1.1.0"
    assert peak < MEGABYTE
    assert sum(1 for _ in output_of(file)) == lines
