"""A migrate container that was made: started, followed by short looks at its log, ended, taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graasp_local.engine.client import engine_errors, engine_refusals

if TYPE_CHECKING:
    from docker import DockerClient

_LONGEST_LINE_BYTES = 65_536
_BACK_SECONDS = 0.001
"""The engine takes the moment from which it is asked for a log as a rounded number; what was seen is left out here."""


class DockerMigrationRun:
    """Nothing blocks and nothing is lost: each look asks for what was written since the last, line by line."""

    def __init__(self, client: DockerClient, container: str) -> None:
        self._client = client
        self._container = container
        self._seen_until = ""
        with engine_errors():
            self.name = client.api.inspect_container(container)["Name"].lstrip("/")

    def start(self) -> None:
        with engine_refusals():
            self._client.api.start(self._container)

    def output(self) -> Iterator[str]:
        with engine_errors():
            frames = self._client.api.logs(
                self._container, stream=True, follow=False, timestamps=True, since=_moment(self._seen_until)
            )
            for stamp, text in stamped_lines(frames):
                if stamp > self._seen_until:
                    self._seen_until = stamp
                    line = without_terminal_codes(text)
                    if line.strip():
                        yield line

    def exit_code(self) -> int | None:
        with engine_errors():
            state = self._client.api.inspect_container(self._container)["State"]
        return None if state["Status"] in ("running", "created", "restarting") else int(state["ExitCode"])

    def kill(self) -> None:
        from docker.errors import APIError

        with engine_errors():
            try:
                self._client.api.kill(self._container)
            except APIError as error:
                if error.status_code != 409:  # 409: it has ended by itself meanwhile
                    raise

    def remove(self) -> None:
        with engine_refusals():
            self._client.api.remove_container(self._container, force=True)


def stamped_lines(frames: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Stamp and text of each line of a log with timestamps; a line that never ends comes in pieces. Pure."""
    rest = b""
    for frame in frames:
        *lines, rest = (rest + frame).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield _apart(line)
    if rest:
        yield _apart(rest)


def without_terminal_codes(line: str) -> str:
    """drizzle-kit draws a spinner: what it erased is left out."""
    return re.sub(r"[^\n]*\x1b\[2K\r|\x1b\[[0-9;]*[A-Za-z]", "", line)


def _apart(line: bytes) -> tuple[str, str]:
    stamp, _, text = line.decode(errors="replace").rstrip("\r").partition(" ")
    return stamp, text


def _moment(stamp: str) -> float | None:
    """`2026-01-02T03:04:05.123456789Z` in seconds since 1970, a little earlier; None for no stamp."""
    if not stamp:
        return None
    whole = datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    return whole + float(f"0.{stamp[20:].rstrip('Z')}") - _BACK_SECONDS
