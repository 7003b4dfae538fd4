"""What an engine answers: versions of its API, refusals, podman, a socket that is not for this user."""

from __future__ import annotations

import json
import os
import pwd
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import APIError

from graasp_local.engine.compose.verbs import compose_failed
from graasp_local.engine.containers.inside import run_inside
from graasp_local.engine.containers.networks import without_their_network
from graasp_local.engine.containers.of_project import containers_of
from graasp_local.engine.containers.services import SERVICE_LABEL, observed
from graasp_local.engine.reach import rootless
from graasp_local.engine.reach.addresses import refused, unreachable
from graasp_local.engine.reach.client import connect, engine_errors, engine_refusals
from graasp_local.engine.site.docker_engine import DockerEngine
from graasp_local.errors import EngineUnreachable, ExitCode, Refused
from graasp_local.planning.states import ServiceGroup, Status
from graasp_local.site.create import init_site
from graasp_local.stack.services import GROUP_LABEL, ServiceDefinition

Reply = tuple[int, dict[str, str], str]
Engine = Callable[[str], Reply]

CONTAINER = {"Id": "c1", "Names": ["/x"], "State": "running", "Labels": {}}


@pytest.fixture
def asked() -> list[str]:
    """The paths that the engine was asked for."""
    return []


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Iterator[Callable[[Engine], None]]:
    """Something that answers on DOCKER_HOST as it is told to."""
    running: list[socketserver.ThreadingUnixStreamServer] = []

    def start(answer: Engine) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, headers, body = answer(self.path)
                self.send_response_only(status)
                for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        path = tmp_path / f"engine-{len(running)}.sock"
        server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def docker_with(newest: str, oldest: str) -> Engine:
    """Answers by the rules of Docker Engine with these versions of its API."""

    def number(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split("."))

    def answer(path: str) -> Reply:
        version, headers = path.split("/")[1].removeprefix("v"), {"Api-Version": newest}
        if number(version) > number(newest):
            said = f"client version {version} is too new. Maximum supported API version is {newest}"
            return 400, headers, json.dumps({"message": said})
        if number(version) < number(oldest):
            said = f"client version {version} is too old. Minimum supported API version is {oldest}"
            return 400, headers, json.dumps({"message": said})
        return 200, headers, json.dumps([CONTAINER]) if "containers" in path else "OK"

    return answer


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.44", "1.24", "1.44"), ("1.52", "1.44", "1.44"), ("1.43", "1.12", "1.43"), ("1.54", "1.46", "1.54")],
)
def test_a_version_is_spoken_that_the_engine_takes(
    engine: Callable[[Engine], None], newest: str, oldest: str, spoken: str, asked: list[str]
) -> None:
    engine(docker_with(newest, oldest))
    assert containers_of("x") == [CONTAINER]
    assert connect().api.api_version == spoken
    assert len([path for path in asked if "containers" in path]) == (1 if spoken == "1.44" else 2)
    asked.clear()
    assert containers_of("x") == [CONTAINER]
    assert len(asked) == 1  # it is known from then on


@pytest.mark.parametrize(
    ("status", "body", "said", "way"),
    [
        (403, "<html><body>Request forbidden by administrative rules.</body></html>", "administrative rules", "proxy"),
        (500, '{"message":"layer does not exist"}', "refused the request (500): layer does not exist.", "log"),
        (503, "", "no reason was given", "log"),
        (400, '{"message":"invalid filter"}', "invalid filter", "log"),
        (200, "no list", "cannot be read", "log"),
    ],
)
def test_what_an_engine_refuses_is_reported_in_its_own_words(
    engine: Callable[[Engine], None], status: int, body: str, said: str, way: str
) -> None:
    engine(lambda _: (status, {"Api-Version": "1.45"}, body))
    with pytest.raises(EngineUnreachable) as error:
        containers_of("x")
    assert said in error.value.what
    assert way in error.value.next_step
    assert "No Docker engine answers" not in error.value.what


def test_what_the_sdk_raises_is_the_engines_refusal_and_no_files(engine: Callable[[Engine], None]) -> None:
    engine(lambda path: (200, {}, "OK") if "_ping" in path else (500, {}, '{"message":"no space left"}'))
    with pytest.raises(EngineUnreachable, match="no space left") as error, engine_errors():
        connect().api.info()
    assert error.value.exit_code is ExitCode.ENGINE_UNREACHABLE
    assert issubclass(APIError, OSError)  # why it has to be told apart


PODMAN = {"Api-Version": "1.41", "Libpod-Api-Version": "5.8.6", "Server": "Libpod/5.8.6 (linux)"}


def test_podman_is_refused_by_its_name_and_can_be_inspected(engine: Callable[[Engine], None]) -> None:
    engine(lambda path: (200, PODMAN, json.dumps([CONTAINER]) if "containers" in path else "OK"))
    with pytest.raises(Refused, match=r"^Podman 5\.8\.6 answers at .*needs Docker Engine"):
        containers_of("x")
    assert containers_of("x", to_observe_only=True) == [CONTAINER]


CHANGING = (
    "apply running",
    "deploy --version 1.0.0 --yes",
    "resume",
    "rollback --yes",
    "upgrade-database --to 17 --yes",
    "remove-old-database",
    "backup",
    "restore nothing --replace-what-is-there",
    "images pull 1.0.0",
    "images complete 1.0.0",
    "images load .env",
    "build --version 1.0.0",
    "secrets rotate JWT_SECRET --yes",
    "secrets rotate POSTGRES_PASSWORD --yes",
    "compose -- up --detach",
)


@pytest.mark.parametrize("words", CHANGING)
def test_every_command_that_changes_something_refuses_podman_before_it_does(
    engine: Callable[[Engine], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    called = tmp_path / "called"
    for name in ("docker", "podman"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!/bin/sh\necho $* | grep -qE ' (version|config)' && exec echo 2.40.0\necho $* >>{called}\n"
        )
        program.chmod(0o755)
    site = init_site(tmp_path / "site", {}, demo=True)
    env = site.env_file.read_text()
    engine(lambda path: (200, PODMAN, "[]" if "containers" in path else "OK"))
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "graasp_local.cli.main", *words.split()],
        capture_output=True,
        text=True,
        cwd=site.directory,
        env={**os.environ, "PATH": path},
        timeout=60,
    )
    assert done.returncode == ExitCode.REFUSED, done.stderr
    assert "Podman 5.8.6 answers" in done.stderr
    assert site.env_file.read_text() == env
    assert not called.exists()


def test_an_invalid_status_from_docker_is_not_an_unexpected_error() -> None:
    labels = {GROUP_LABEL: "graasp", "com.docker.compose.service": "core"}
    container = {**CONTAINER, "State": "stopping", "Labels": labels}
    found = observed([container], [ServiceDefinition("core", ServiceGroup.GRAASP)], {})
    assert [service.status for service in found.services] == [Status.DEAD]


def test_a_stopped_container_whose_network_is_gone_is_distinguished() -> None:
    def container(state: str, *networks: str) -> dict[str, object]:
        attached = {network: {"NetworkID": network} for network in networks}
        return {"Id": state, "State": state, "NetworkSettings": {"Networks": attached}}

    cut_off, whole = container("exited", "here", "gone"), container("exited", "here", "")
    found = without_their_network([cut_off, whole, container("running", "gone"), {"State": "exited"}], {"here"})
    assert found == (cut_off,)


def test_a_socket_without_permission_is_not_an_engine_that_is_off() -> None:
    error = unreachable("[Errno 13] Permission denied")
    assert "may not use" in error.what
    assert "systemctl start" not in error.next_step
    assert "group" in error.next_step or "root" in error.next_step


def test_an_answer_that_is_long_is_quoted_in_part() -> None:
    assert len(refused(500, "x " * 5000).what) < 500


@pytest.mark.parametrize(
    "said",
    [
        "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status",
    ],
)
def test_a_swarm_with_too_few_managers_has_no_leader(said: str) -> None:
    error = refused(500, json.dumps({"message": said}))
    assert "has no leader that answers: more than half of its managers must be online" in error.what
    assert "rpc error" not in error.what
    assert "--force-new-cluster" in error.next_step
    assert (
        "has no leader that answers"
        in compose_failed(f" Container x-redis-1  Starting\nError response from daemon: {said}", 1).what
    )
    with pytest.raises(EngineUnreachable, match="has no leader"), engine_refusals():
        raise APIError("500 Server Error", explanation=said)


@pytest.mark.parametrize(
    ("info", "is_rootless", "limits"),
    [
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"], "CgroupDriver": "none"}, True, False),
        ({"SecurityOptions": ["name=seccomp"], "CgroupDriver": "systemd", "MemoryLimit": True}, False, True),
        ({"SecurityOptions": None, "MemoryLimit": False}, False, False),
    ],
)
def test_what_a_rootless_engine_says_of_itself(info: dict[str, object], is_rootless: bool, limits: bool) -> None:
    assert (rootless.is_rootless(info), rootless.limits_memory(info)) == (is_rootless, limits)
    if not is_rootless:
        assert rootless.lowest_port(info) == 0


def test_a_rootless_engine_ends_with_its_users_session_unless_that_lingers(tmp_path: Path) -> None:
    info = {"SecurityOptions": ["name=rootless"]}
    socket, name = tmp_path / "docker.sock", pwd.getpwuid(os.getuid()).pw_name
    socket.touch()

    def told(info: dict[str, list[str]], systemd: Path = tmp_path) -> str:
        return rootless.ends_with_session_of(info, f"unix://{socket}", systemd, tmp_path)

    assert told(info) == name
    assert told({"SecurityOptions": []}) == ""
    assert told(info, tmp_path / "not there") == ""
    (tmp_path / name).touch()
    assert told(info) == ""


def test_processes_that_an_engine_without_control_groups_cannot_list_are_no_error(
    engine: Callable[[Engine], None], tmp_path: Path
) -> None:
    container = {**CONTAINER, "Labels": {SERVICE_LABEL: "db"}}

    def answer(path: str) -> Reply:
        if "/json" in path and "containers" in path:
            return 200, {"Api-Version": "1.45"}, json.dumps([container])
        if path.endswith("/_ping"):
            return 200, {"Api-Version": "1.45"}, "OK"
        return 500, {}, '{"message":"unable to get all container pids"}'

    engine(answer)
    site = init_site(tmp_path / "site", {}, demo=True)
    assert DockerEngine(site, lambda _: None).recovery_progress("db") == ""


class _AllAtOnce(BaseHTTPRequestHandler):
    """An engine that is quicker than its client: what a command writes arrives together with the head of the answer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/start"):
            return self._json({"Id": "e1"})
        switches = self.headers.get("Upgrade") == "tcp"
        status = "101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp" if switches else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n".encode()
        frames = b"\x01\0\0\0\0\0\0\x06hello\n" + b"\x02\0\0\0\0\0\0\x03no\n" + b"\x01\0\0\0\0\0\0\x00"
        self.wfile.write(head + frames)
        self.close_connection = True
        return None

    def do_GET(self) -> None:
        self._json({"ExitCode": 3})

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None: ...

    def _json(self, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_what_a_command_writes_is_read_however_early_it_arrives(tmp_path: Path) -> None:
    path = tmp_path / "quick.sock"
    with (
        socketserver.ThreadingUnixStreamServer(str(path), _AllAtOnce) as server,
        closing(DockerClient(base_url=f"unix://{path}", version="1.45")) as client,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert run_inside(client, "c1", ["greet"]) == (3, b"hello\nno\n")
            assert client.api.exec_start("e1") != b"hello\nno\n", "docker-py has fixed issue 3332: use its exec_start"
        finally:
            server.shutdown()
