"""Visitors of a site, in a separate process: a limited, steady load, with every answer classified.

At least a hundred requests a second on persistent connections: pages, API calls and writes, as a visitor and with the
bypass; slow requests, so that some are always in flight; open websockets that echo. `Visitors` below starts it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from graasp_local.journal.visits import FAULTS, Met, met

REQUESTS_A_SECOND = 110
"""Per kind of visitor: without and with the bypass."""
LEAST_REQUESTS_A_SECOND = 100
"""Of both kinds together."""
CONNECTIONS = 12
SLOW_REQUESTS = 4
SLOW_SECONDS = 1.5
WEBSOCKETS = 10
LONGEST_SECONDS = 240
"""The load ends by itself after this time, whatever happens to the test."""
HANG_SECONDS = 20.0


@dataclass
class Load:
    """The results, by kind of visitor; `details` describes the first faults."""

    port: int
    bypass: dict[str, str]
    writes: bool = True
    """Whether visitors also write: a write in flight to a core that is killed cannot be sent to another one."""
    began: float = field(default_factory=time.monotonic)
    ended: bool = False
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def count(self, who: str, what: str, detail: str = "") -> None:
        self.counts.setdefault(who, Counter())[what] += 1
        is_fault = what in {str(fault) for fault in FAULTS} or (who != "bypass" and what == Met.UNAVAILABLE)
        if is_fault and len(self.details) < 20:
            self.details.append(f"{time.monotonic() - self.began:.3f} s, {who}: {what} {detail}")


class Connection:
    """One persistent connection, like a browser's."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, who: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Met:
        try:
            async with asyncio.timeout(HANG_SECONDS):
                status, said, content = await self._as_a_browser(method, path, headers, body)
        except TimeoutError:
            what, detail = Met.HANG, path
        except ConnectionRefusedError:
            what, detail = Met.REFUSED, path
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            what, detail = Met.CUT_OFF, f"{path} {error!r}"
        else:
            what, detail = met(path, status, said, content.decode(errors="replace")), f"{path} {status}"
            if status == 201:
                self._load.written.append(json.loads(content)["id"])
        if what in (Met.HANG, Met.REFUSED, Met.CUT_OFF):
            self.close()
        self._load.count(who, what, detail)
        return what

    async def _as_a_browser(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Exchange a request. If the server has closed the idle connection, open another one; if it closes it just as
        the request is sent, send a GET again."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        is_used = self._streams is not None
        try:
            return await self._exchange(method, path, headers, body)
        except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError) as error:
            was_answered = isinstance(error, asyncio.IncompleteReadError) and error.partial
            if not is_used or was_answered or method != "GET":
                raise
            self.close()
            return await self._exchange(method, path, headers, body)

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._load.port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items())]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        status, said = await read_head(reader)
        content = await _read_body(reader, said)
        if said.get("connection") == "close":
            self.close()
        return status, said, content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    return int(first.split(" ")[1]), {
        k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)
    }


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers["content-length"]))
    content = b""
    while size := int((await reader.readline()).strip() or b"x", 16):
        content += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return content


async def visit(load: Load, who: str, number: int) -> None:
    """A steady visitor: sends its share of the requests, each when it is due, or at once if it is late."""
    connection = Connection(load)
    bypass = load.bypass if who == "bypass" else {}
    browser = {"Accept": "text/html", **bypass}
    program = {"Accept": "application/json", **bypass}
    pause = CONNECTIONS / REQUESTS_A_SECOND
    due = time.monotonic() + pause * number / CONNECTIONS
    turn = number
    while not load.ended:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due = max(due + pause, time.monotonic() - 1.0)
        turn += 1
        if turn % 3 == 0:
            if await connection.ask(who, "GET", "/", browser) is Met.REDIRECT:
                await connection.ask(who, "GET", "/maintenance", browser)
        elif turn % 3 == 1 or who == "bypass" or not load.writes:
            await connection.ask(who, "GET", "/api/version", program)
        else:
            body = json.dumps({"name": f"visit {who} {number} {turn}"}).encode()
            await connection.ask(who, "POST", "/api/items", {**program, "Content-Type": "application/json"}, body)
    connection.close()


async def visit_slowly(load: Load, number: int) -> None:
    """A visitor who always waits for a slow request."""
    connection = Connection(load)
    await asyncio.sleep(SLOW_SECONDS * number / SLOW_REQUESTS)
    while not load.ended:
        what = await connection.ask("slow", "GET", f"/api/slow?seconds={SLOW_SECONDS}", {"Accept": "application/json"})
        if what is not Met.APP:
            await asyncio.sleep(0.1)
    connection.close()


async def listen(load: Load) -> None:
    """A websocket that echoes, and is opened again whenever it ends."""
    while not load.ended:
        try:
            what = await _one_websocket(load)
        except TimeoutError:
            what = "hang"
        except OSError as error:
            what = "refused" if isinstance(error, ConnectionRefusedError) else f"cut-off {error!r}"
        except (asyncio.IncompleteReadError, ValueError):
            what = "cut-off"
        load.count("websocket", *what.split(" ", 1))
        await asyncio.sleep(0.1)


async def _one_websocket(load: Load) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /api/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        async with asyncio.timeout(HANG_SECONDS):
            status, headers = await read_head(reader)
        if status != 101:
            return met("/api/ws", status, headers, (await _read_body(reader, headers)).decode(errors="replace"))
        # From here on the server may end it at any time, but it must never leave a message without an answer.
        while not load.ended:
            mask = os.urandom(4)
            writer.write(b"\x81\x82" + mask + bytes(a ^ b for a, b in zip(b"hi", mask, strict=False)))
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    answered = await reader.read(4)
            except TimeoutError:
                return "hang"
            except OSError:
                return "ended"
            if not answered.startswith(b"\x81"):
                return "ended"
            load.count("websocket", "echo")
            await asyncio.sleep(0.2)
        return "ended"
    finally:
        writer.close()


async def run(load: Load) -> None:
    tasks = [
        *(visit(load, who, number) for who in ("visitor", "bypass") for number in range(CONNECTIONS)),
        *(visit_slowly(load, number) for number in range(SLOW_REQUESTS)),
        *(listen(load) for _ in range(WEBSOCKETS)),
    ]

    async def end() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.wait([loop.run_in_executor(None, sys.stdin.read)], timeout=LONGEST_SECONDS)
        load.ended = True

    print("visiting", flush=True)  # noqa: T201
    await asyncio.gather(end(), *tasks)


class Visitors:
    """A context manager. Afterwards `report` has `counts` by kind of visitor, `details`, `written` and `seconds`."""

    def __init__(self, port: int, bypass: dict[str, str], *, writes: bool = True) -> None:
        self._given = json.dumps({"port": port, "bypass": bypass, "writes": writes})
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Visitors:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.visitors"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "VISITORS": self._given},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "visiting\n"
        return self

    def __exit__(self, *_: object) -> None:
        said, _errors = self._process.communicate(timeout=HANG_SECONDS * 3)
        self.report = json.loads(said)

    def count(self, who: str) -> dict[str, int]:
        counts: dict[str, int] = self.report["counts"].get(who, {})
        return counts

    def requests_a_second(self) -> float:
        """The rate that was reached, without slow requests and websockets."""
        asked = sum(sum(self.count(who).values()) for who in ("visitor", "bypass"))
        return asked / float(self.report["seconds"])


if __name__ == "__main__":
    the_load = Load(**json.loads(os.environ["VISITORS"]))
    asyncio.run(run(the_load))
    told = {
        "counts": {who: dict(counts) for who, counts in the_load.counts.items()},
        "details": the_load.details,
        "written": the_load.written,
        "seconds": time.monotonic() - the_load.began,
    }
    print(json.dumps(told))  # noqa: T201
