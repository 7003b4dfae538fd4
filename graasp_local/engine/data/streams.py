"""A docker command as a stream of bytes, from it or to it.

Uses the docker command instead of the SDK, because it closes the input inside the container when its own input ends,
which is how pg_restore and tar know that nothing is missing. Never blocks for long: an empty piece or 0 means that
nothing moved, so that the caller can stop. A session of its own keeps a terminal's Ctrl-C away from the command.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO

from graasp_local.engine.reach.addresses import unreachable
from graasp_local.errors import GraaspLocalError, NeedsYou

_PIECE_BYTES = 1 << 18
_LOOK_UP_SECONDS = 0.2
_TIMES_ASKED = 3
_LISTING = "Listing the content of the dump"
_LOST = "the engine passed on no output"
"""A busy engine may lose what a short command writes, although the command succeeds."""


def output_of(
    command: Sequence[str],
    what: str,
    environment: Mapping[str, str] | None = None,
    well: Callable[[int, str], bool] = lambda code, _: code == 0,
) -> Iterator[bytes]:
    """The command's output. `well` judges exit code and stderr; `what` names the command in the error."""
    with tempfile.TemporaryFile() as errors:
        process = _started(command, subprocess.DEVNULL, subprocess.PIPE, errors, environment)
        try:
            assert process.stdout is not None  # noqa: S101
            descriptor = process.stdout.fileno()
            while True:
                readable, _, _ = select.select([descriptor], [], [], _LOOK_UP_SECONDS)
                piece = os.read(descriptor, _PIECE_BYTES) if readable else b""
                if readable and not piece:
                    break
                yield piece
            while process.poll() is None:
                _wait(process)
                yield b""
            _judge(process, errors, what, well)
        finally:
            _end(process)


def fed_with(
    command: Sequence[str],
    what: str,
    pieces: Iterable[bytes],
    environment: Mapping[str, str] | None = None,
    sink: IO[bytes] | None = None,
) -> Iterator[int]:
    """Write the pieces to the command and wait for its end; yields the number of bytes written since the last time.

    The command's output goes to `sink`, or is discarded.
    """
    with tempfile.TemporaryFile() as errors:
        process = _started(command, subprocess.PIPE, sink or subprocess.DEVNULL, errors, environment)
        try:
            assert process.stdin is not None  # noqa: S101
            descriptor = process.stdin.fileno()
            os.set_blocking(descriptor, False)
            try:
                for piece in pieces:
                    yield from _written(descriptor, piece)
            except BrokenPipeError:
                pass  # it has ended early, and its exit code says why
            process.stdin.close()
            while process.poll() is None:
                _wait(process)
                yield 0
            _judge(process, errors, what, lambda code, _: code == 0)
        finally:
            _end(process)


def entries_of(listing: Sequence[str], pieces: Iterable[bytes]) -> tuple[str, ...]:
    """The entries of a dump as `pg_restore --list` prints them: that command, fed with as much as it reads."""
    with tempfile.TemporaryFile() as answer:
        for _ in fed_with(listing, _LISTING, pieces, sink=answer):
            pass
        answer.seek(0)
        lines = answer.read().decode(errors="replace").splitlines()
    if not lines:  # even an empty dump has a heading
        raise NeedsYou(f"{_LISTING} failed: {_LOST}.")
    return tuple(line for line in lines if line and not line.startswith(";"))


def pass_on_entries(keeping: Sequence[str], entries: Sequence[str]) -> None:
    """Give the list of what to load to a command that keeps it in a file."""
    for _ in fed_with(keeping, "Passing on the list of what to load", ["\n".join([*entries, ""]).encode()]):
        pass


def variables_by_name(environment: Mapping[str, str]) -> list[str]:
    """The docker command's options for these variables: it takes the values from its own environment, so that no secret
    is in a process list.
    """
    return [word for name in environment for word in ("--env", name)]


def run_to_end(command: Sequence[str], what: str) -> str:
    """The output of a command that writes little."""
    return b"".join(output_of(command, what)).decode(errors="replace")


def answer_of(command: Sequence[str], what: str) -> str:
    """The output of a command that changes nothing and always writes something; it runs again if that is lost."""
    for _ in range(_TIMES_ASKED):
        said = run_to_end(command, what).strip()
        if said:
            return said
    raise NeedsYou(f"{what} failed: {_LOST}.")


def _started(
    command: Sequence[str],
    source: int,
    sink: int | IO[bytes],
    errors: IO[bytes],
    environment: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=source,
        stdout=sink,
        stderr=errors,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )


def _written(descriptor: int, piece: bytes) -> Iterator[int]:
    left = memoryview(piece)
    while left:
        _, writable, _ = select.select([], [descriptor], [], _LOOK_UP_SECONDS)
        written = os.write(descriptor, left[:65536]) if writable else 0
        left = left[written:]
        yield written


def _wait(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_UP_SECONDS)


def _judge(process: subprocess.Popen[bytes], errors: IO[bytes], what: str, well: Callable[[int, str], bool]) -> None:
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip()
    if not well(process.returncode, said):
        raise _failed(what, process.returncode, said)


def _failed(what: str, code: int, said: str) -> GraaspLocalError:
    if "Cannot connect to the Docker daemon" in said or "error during connect" in said:
        return unreachable(said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "No space" in line] or lines
    reason = telling[0].removeprefix("pg_dump: ").removeprefix("pg_restore: ") if telling else f"exit code {code}"
    return NeedsYou(f"{what} failed: {reason}.")


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        process.kill()
        process.wait()
