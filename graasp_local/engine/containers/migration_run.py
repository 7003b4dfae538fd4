"""A created migrate container: started, followed by polling its log, killed, removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graasp_local.engine.reach.client import engine_errors, engine_refusals

if TYPE_CHECKING:
    from docker import DockerClient

_LONGEST_LINE_BYTES = 65_536
_LONGEST_PIECE = 16_000
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
_NEW_FRAME = re.compile(r"\r|\x1b\[[0-9;]*[ABEFGHJKdf]|\x1b[78]")
_OTHER_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SPINNER = re.compile("[\u2800-\u28ff\u25d0-\u25d3]")
"""Spinner characters: Braille dots, or a half-filled circle."""
_BACK_SECONDS = 0.001
"""The engine rounds the time from which a log is requested; lines that were already seen are skipped here."""


class DockerMigrationRun:
    """Neither blocks nor loses output: each call of `output` yields the lines written since the last."""

    def __init__(self, client: DockerClient, container: str) -> None:
        self._client = client
        self._container = container
        self._seen_until = ""
        self._last_line = ""
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
                    line = last_frame(text)
                    if line.strip() and not _is_same_but_for_the_spinner(line, self._last_line):
                        self._last_line = line
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
                if error.status_code != 409:  # 409: it has already ended
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


def last_frame(line: str) -> str:
    """What a terminal would finally show of a line: a spinner draws frame over frame. Pure.

    Whatever moves the cursor back or erases begins a new frame; an erased frame is not shown. A line of more than 16
    KiB comes in pieces, each with a stamp of its own in the middle of the line.
    """
    if len(line) > _LONGEST_PIECE:
        line = _STAMP.sub("", line)
    frames = [_OTHER_CODE.sub("", frame) for frame in _NEW_FRAME.split(line)]
    return next((frame for frame in reversed(frames) if frame.strip()), "")


def _is_same_but_for_the_spinner(line: str, other: str) -> bool:
    return _SPINNER.sub("", line) == _SPINNER.sub("", other) and _SPINNER.search(line) is not None


def _apart(line: bytes) -> tuple[str, str]:
    stamp, _, text = line.decode(errors="replace").rstrip("\r").partition(" ")
    return stamp, text


def _moment(stamp: str) -> float | None:
    """`2026-01-02T03:04:05.123456789Z` in seconds since 1970, slightly earlier; None for no stamp."""
    if not stamp:
        return None
    whole = datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    return whole + float(f"0.{stamp[20:].rstrip('Z')}") - _BACK_SECONDS
