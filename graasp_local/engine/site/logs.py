"""Logs of one service or of all; each is followed on a thread of its own that can be closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from graasp_local.engine.containers.services import NODE_LABEL, SERVICE_LABEL
from graasp_local.engine.reach.client import engine_errors

if TYPE_CHECKING:
    from graasp_local.engine.site.docker_engine import DockerEngine

_QUEUE_LINES = 10_000
_LONGEST_LINE_BYTES = 65_536
"""A line that never ends is delivered in pieces of about this size."""


def log_lines(engine: DockerEngine, service: str | None, *, lines: int, follow: bool) -> Iterator[tuple[str, str]]:
    """Pairs of service and line. Without `follow` the services come one after the other."""
    containers = [c for c in engine.containers() if service is None or c["Labels"].get(SERVICE_LABEL) == service]
    in_swarm = sorted({str(c["Labels"].get(SERVICE_LABEL)) for c in containers if NODE_LABEL in c["Labels"]})
    containers = [c for c in containers if NODE_LABEL not in c["Labels"]]
    containers.sort(key=lambda container: str(container["Labels"].get(SERVICE_LABEL)))
    if not follow:
        for container in containers:
            with engine_errors():
                text = engine.client.api.logs(container["Id"], tail=lines, stream=False)
            # Split at line feeds only: Python's other line endings would turn one line into two.
            for line in text.removesuffix(b"\n").split(b"\n") if text else ():
                yield str(container["Labels"].get(SERVICE_LABEL)), line.decode(errors="replace")
        for name in in_swarm:
            for said in engine.swarm.log(name, lines):
                yield name, said
        return
    yield from _followed(engine, containers, in_swarm, lines)


def _followed(
    engine: DockerEngine, containers: list[dict[str, Any]], in_swarm: list[str], lines: int
) -> Iterator[tuple[str, str]]:
    # Bounded, so that a flood of lines slows its reader instead of filling the memory.
    pending: queue.Queue[tuple[str, str] | None] = queue.Queue(_QUEUE_LINES)
    streams: list[Any] = []
    for name in in_swarm:
        streams.append(engine.swarm.log_stream(name, lines))
        threading.Thread(target=_read, args=(streams[-1], name, pending), daemon=True).start()
    for container in containers:
        with engine_errors():
            stream = engine.client.api.logs(container["Id"], tail=lines, stream=True, follow=True)
        streams.append(stream)
        name = str(container["Labels"].get(SERVICE_LABEL))
        threading.Thread(target=_read, args=(stream, name, pending), daemon=True).start()
    try:
        open_streams = len(streams)
        while open_streams:
            item = pending.get()
            if item is None:
                open_streams -= 1
            else:
                yield item
    finally:
        for stream in streams:
            with suppress(ValueError):  # a Swarm's stream is being read at this moment
                stream.close()


def _read(stream: Any, name: str, pending: queue.Queue[tuple[str, str] | None]) -> None:
    rest = b""
    try:
        for chunk in stream:
            *complete, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE_BYTES:
                complete, rest = [*complete, rest], b""
            for line in complete:
                pending.put((name, line.decode(errors="replace")))
    except Exception:  # noqa: S110 - a stream closed by the other side raises whatever its socket raises
        pass
    if rest:
        pending.put((name, rest.decode(errors="replace")))
    pending.put(None)
