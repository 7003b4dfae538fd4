"""The engine of another machine that is reached over ssh, as a socket on this one.

One ssh connection carries everything that a command asks the engine, by the SDK and by the docker command alike. It
ends with this process, however that ends: ssh runs `cat` there, whose input is a pipe from here. ssh must not need to
ask for anything, since it has no terminal.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_SOCKET = "/var/run/docker.sock"

_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ExitOnForwardFailure": "yes",
    # A broken connection is noticed within a minute; the operation then ends as when the engine is gone.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "StreamLocalBindMask": "0177",
}


class SshFailedError(Exception):
    """The other machine's engine cannot be reached; the message is ssh's own."""


def ssh_command(address: str, local: Path) -> list[str]:
    """The command that makes a local socket lead to the engine at `ssh://[USER@]HOST[:PORT][/SOCKET]`."""
    parts = urlsplit(address)
    there = parts.path if parts.path not in ("", "/") else DEFAULT_SOCKET
    words = ["ssh", *(f"-o{key}={value}" for key, value in _OPTIONS.items())]
    words += ["-T", "-L", f"{local}:{there}"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    return [*words, "--", parts.hostname or "", "cat"]


def forward(address: str) -> str:
    """A `unix://` address on this machine that leads to the engine at an `ssh://` address. Raises SshFailedError."""
    directory = Path(tempfile.mkdtemp(prefix="graasp-local-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    local = directory / "docker.sock"
    said = tempfile.TemporaryFile()  # noqa: SIM115 - ssh may complain as long as it runs
    try:
        # In a group of its own, so that the terminal's Ctrl-C does not cut the operation off from its engine.
        process = subprocess.Popen(
            ssh_command(address, local), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, process_group=0
        )
    except FileNotFoundError:
        raise SshFailedError("ssh is not installed") from None
    deadline = time.monotonic() + _START_SECONDS
    while not _leads_somewhere(local):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            raise SshFailedError(next((line.strip() for line in reversed(lines) if line.strip()), "ssh gave no reason"))
        time.sleep(_POLL_SECONDS)
    _kept.append(process)
    return f"unix://{local}"


_kept: list[subprocess.Popen[bytes]] = []
"""While these are referenced, the pipes that keep ssh alive stay open."""


def _leads_somewhere(local: Path) -> bool:
    if not local.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(local))
        except OSError:
            return False
    return True
