"""graasp-local's commands as forks of a process that has loaded docker, psycopg, python-on-whales and the like once.

Loading these takes most of the processor time of a short command. Each command loads graasp-local's own modules, as
always. What a test starts, interrupts or kills is a process of its own from the beginning: `DemoSite.start`, and
tests/terminal.py.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

REPOSITORY = Path(__file__).parents[2]
_PACKAGES = ("click", "docker", "msgspec", "psycopg", "psycopg.sql", "python_on_whales", "rich.console", "yaml")
_READ_BY_THE_INTERPRETER = ("LANG", "LC_", "PYTHON")
_LONGEST_REQUEST = 1 << 20


class _Server:
    """The process, which ends with this one."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="graasp-local-warm-")
        self._address = f"{self._place.name}/socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.warm", self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def run(self, words: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        with (
            tempfile.TemporaryFile("w+") as output,
            tempfile.TemporaryFile("w+") as errors,
            socket.socket(socket.AF_UNIX) as asked,
        ):
            asked.connect(self._address)
            asked.settimeout(timeout)
            wanted = json.dumps(
                {"words": words, "env": {**env}, "directory": str(Path.cwd()), "umask": _umask()}
            ).encode()
            socket.send_fds(asked, [len(wanted).to_bytes(4, "big")], [output.fileno(), errors.fileno()])
            asked.sendall(wanted)
            answers = asked.makefile("r")
            process = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), timeout, _all_of(output), _all_of(errors)) from None
            return subprocess.CompletedProcess(list(words), code, _all_of(output), _all_of(errors))

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._place.cleanup()


def _all_of(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


_servers: dict[str, _Server] = {}
"""By the network of the machine that they are on (tests/integration/private_swarm.py)."""
_starting = threading.Lock()


def can_run(env: Mapping[str, str]) -> bool:
    """Whether nothing in this is read before Python runs the command."""
    return not any(key.startswith(_READ_BY_THE_INTERPRETER) for key in env)


def run(words: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run graasp-local with these words and this environment alone, as `subprocess.run` would."""
    with _starting:
        network = _network()
        if network not in _servers:
            _servers[network] = _Server()
        server = _servers[network]
    return server.run(words, env, timeout)


def leave_network() -> None:
    """End what is on this thread's network, so that the network can go."""
    server = _servers.pop(_network(), None)
    if server is not None:
        server.stop()


def _network() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def _umask() -> int:
    told = Path("/proc/self/status").read_text()
    return int(told.partition("Umask:")[2].split()[0], 8)


@atexit.register
def _stop_all() -> None:
    while _servers:
        _servers.popitem()[1].stop()


def _serve(address: str) -> NoReturn:
    for name in _PACKAGES:
        importlib.import_module(name)
    gc.freeze()  # so that collecting garbage touches, and copies, nothing of this in the forks
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for those that answer
    print("ready", flush=True)  # noqa: T201
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:  # at its end: whom this is for has ended
            os._exit(0)
        asked, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(asked)
        asked.close()


def _answer(asked: socket.socket) -> NoReturn:
    """Run one command, and tell its process and then its exit code."""
    length, descriptors, _, _ = socket.recv_fds(asked, 4, 2)
    wanted: dict[str, Any] = json.loads(_exactly(asked, int.from_bytes(length, "big")))
    process = os.fork()
    if process == 0:
        asked.close()
        _become(wanted, descriptors)
    with suppress(OSError):
        asked.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        asked.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _exactly(asked: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += asked.recv(min(length - len(found), _LONGEST_REQUEST))
    return found


def _become(wanted: Mapping[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """What `python -m graasp_local.cli.main` does, from here on."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in zip((nothing, *descriptors), (0, 1, 2), strict=True):
        os.dup2(here, there)
        os.close(here)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - without what was read of the other one
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["directory"])
    os.umask(wanted["umask"])
    sys.orig_argv = [sys.executable, "-m", "graasp_local.cli.main", *wanted["words"]]
    try:
        main = importlib.import_module("graasp_local.cli.main")
        sys.argv = [str(main.__file__), *wanted["words"]]
        main.main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1])
