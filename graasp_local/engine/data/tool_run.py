"""A dump or a restore that runs in a container: its progress, its exit code, its complaint."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from typing import IO


class DockerToolRun:
    """A dump or a restore by `docker exec`; its stderr is collected, to be read when it has ended."""

    def __init__(
        self,
        command: list[str],
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # A duplicate descriptor of the same open file: its position is the command's progress.
        self._file = os.dup((stdin or stdout).fileno()) if stdin or stdout else None  # type: ignore[union-attr]
        self._said = io.BytesIO()
        self._process = subprocess.Popen(
            command,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        if self._process.stderr is not None:
            os.set_blocking(self._process.stderr.fileno(), False)

    def exit_code(self) -> int | None:
        self._listen()
        code = self._process.poll()
        if code is not None:
            self._listen()
        return code

    def bytes_done(self) -> int:
        return 0 if self._file is None else os.lseek(self._file, 0, os.SEEK_CUR)

    def complaint(self) -> str:
        lines = [line.strip() for line in self._said.getvalue().decode(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "rror" in line or "FATAL" in line] or lines
        return telling[0] if telling else "it gave no reason"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        """Read what is available, so that a verbose command is never blocked."""
        if self._process.stderr is not None:
            while chunk := self._process.stderr.read(65536):
                self._said.write(chunk)
