"""An engine on another machine: how it is reached, what is sent to it, and what is asked through it."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from graasp_local.engine.compose import site_files
from graasp_local.engine.containers.other_machine import free_bytes, memory_info
from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.engine.reach import addresses, tunnel
from graasp_local.engine.reach.ssh_forward import ssh_command
from graasp_local.errors import EngineUnreachable
from graasp_local.postgres.address import accepts_connections
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = init_site(tmp_path / "site", {"HTTP_BIND": "127.0.0.1"}, demo=True)
    prepare.prepare(site)
    return site


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")


def program(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://graasp.example", ["-L", "/l:/var/run/docker.sock", "--", "graasp.example", "cat"]),
        ("ssh://me@graasp.example:2222", ["-l", "me", "-p", "2222", "--", "graasp.example", "cat"]),
        ("ssh://graasp.example/run/user/1000/docker.sock", ["-L", "/l:/run/user/1000/docker.sock"]),
        ("ssh://-oProxyCommand=x", ["--", "-oproxycommand=x", "cat"]),
    ],
)
def test_ssh_gets_user_host_and_socket(address: str, words: list[str]) -> None:
    command = ssh_command(address, Path("/l"))
    start = command.index(words[0])
    assert command[start : start + len(words)] == words


def test_what_ssh_says_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "ssh", "echo 'Warning: x' >&2; echo 'Permission denied (publickey).' >&2; exit 255")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://graasp.example")
    with pytest.raises(EngineUnreachable, match=r"ssh://graasp\.example cannot be reached: Permission denied") as error:
        addresses.engine_address()
    assert "docker --host ssh://graasp.example version" in error.value.next_step
    assert addresses.engine_host() == "graasp.example"
    assert not addresses.is_on_this_machine()


def test_one_connection_serves_the_whole_command_and_the_docker_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listens = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); sys.stdin.read()"
    (tmp_path / "listen.py").write_text(listens)
    program(
        tmp_path,
        "ssh",
        f"echo x >> {tmp_path}/count; for a; do case $a in *docker.sock:*) s=${{a%%:*}};; esac; done\n"
        f'exec python3 {tmp_path}/listen.py "$s"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://one.example")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(addresses.engine_address())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*found}) == 1
    assert (tmp_path / "count").read_text() == "x\n"
    assert os.environ["DOCKER_HOST"] == found[0]
    assert addresses.chosen_address() == "ssh://one.example"
    assert not addresses.is_on_this_machine()


def test_what_containers_mount_is_packed_for_root_and_the_same_each_time(site: Site) -> None:
    packed = site_files.packed(site)
    assert packed == site_files.packed(site)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = {member.name: member for member in tar}
    assert {"stack/nginx/html", "stack/compose", "secrets/postgres-password"} <= {*members}
    assert {member.uid for member in members.values()} == {0}
    assert members["secrets"].mode & 0o077 == 0
    assert not any("compose.override" in name or name.endswith(".env") for name in members)


def test_compose_mounts_from_the_other_machine_only_if_there_is_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert site_files.where_mounted_from(site) == {}
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    there = f"/var/lib/graasp-local/{site.settings.project}"
    assert site_files.where_mounted_from(site) == {
        "GRAASP_STACK": f"{there}/stack",
        "GRAASP_SECRETS": f"{there}/secrets",
    }


@pytest.mark.usefixtures("elsewhere")
def test_a_file_of_the_site_is_not_there_to_be_mounted(site: Site) -> None:
    def said(source: str, kind: str = "bind") -> str | None:
        return site_files.local_mount(site, {"services": {"core": {"volumes": [{"type": kind, "source": source}]}}})

    assert (
        said(f"{site.directory}/x") == f"core mounts {site.directory}/x, which is on this machine, not on the engine's."
    )
    assert said("/srv/media") is None
    assert said("files", "volume") is None
    assert site_files.local_mount(site, {"services": {"core": {}}}) is None


def test_a_loopback_address_there_is_reached_through_the_engine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    ends: list[socket.socket] = []

    def connected(container: str, port: int, timeout: float) -> socket.socket:
        asked.append((container, port))
        here, there = socket.socketpair()
        there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nopen\n")
        there.shutdown(socket.SHUT_WR)
        ends.append(there)  # the request still has to go somewhere
        return here

    nginx = {"Id": "n", "State": "running", "Labels": {"org.graasp.group": "edge"}}
    monkeypatch.setattr(tunnel, "connected", connected)
    monkeypatch.setattr("graasp_local.engine.containers.of_project.containers_of", lambda *_, **__: [nginx])
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    assert HttpEdge(site.settings).gate().value == "open"
    assert asked == [("n", 80)]


def test_a_port_of_a_container_answers_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # What the engine would run in the container is run here.
        program(tmp_path, "docker", 'shift 3; exec setsid "$@"')
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with socket.create_connection(tunnel.address_of("c", port), 5) as client:
            inside, _ = server.accept()
            client.sendall(b"ask")
            assert inside.recv(3) == b"ask"
            inside.sendall(b"told\x00\xff")
            assert client.recv(6) == b"told\x00\xff"
            inside.close()
            assert client.recv(1) == b""
        with socket.create_connection(tunnel.address_of("c", port), 5) as client:
            inside, _ = server.accept()
        assert inside.recv(1) == b""  # what is closed here is closed there
        assert tunnel.address_of("c", port) == tunnel.address_of("c", port)


@pytest.mark.parametrize(
    ("answer", "accepts"),
    [
        (b"R\x00\x00\x00\x08\x00\x00\x00\x05", True),
        (b"E\x00\x00\x00\x20SFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00", False),
        (b"E\x00\x00\x00\x20SFATAL\x00C28000\x00Mno pg_hba.conf entry\x00\x00", True),
        (b"", False),
        (b"HTTP/1.1 400 Bad Request\r\n", False),
    ],
)
def test_a_server_that_asks_for_a_password_accepts_connections(answer: bytes, accepts: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100)[4:8] == b"\x00\x03\x00\x00"
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert accepts_connections("127.0.0.1", server.getsockname()[1]) is accepts
        thread.join()


class Answer:
    """The engine's answer to the start of a command: its output, in one frame of stdout."""

    def __init__(self, output: bytes) -> None:
        self.content = b"\x01\0\0\0" + len(output).to_bytes(4, "big") + output

    def raise_for_status(self) -> None: ...


class Containers:
    """The docker SDK's low-level client, as far as these questions go."""

    base_url, api_version, timeout = "http+docker://localhost", "1.45", 60

    def __init__(self, said: dict[str, bytes]) -> None:
        self.api = self
        self._said = said

    def exec_create(self, container: str, command: list[str], **_: Any) -> dict[str, str]:
        return {"Id": f"{container} {command[0]}"}

    def post(self, address: str, **_: Any) -> Answer:
        return Answer(self._said.get(address.split("/")[-2], b""))

    def exec_inspect(self, command: str) -> dict[str, int]:
        return {"ExitCode": 0 if command in self._said else 127}


def test_disk_and_memory_there_are_read_by_any_running_container() -> None:
    disk = b"Filesystem 1024-blocks Used Available Capacity Mounted on\noverlay 1000 400 600 40% /\n"
    client: Any = Containers({"b df": disk, "b cat": b"MemAvailable: 7 kB\n"})
    containers = [{"Id": "off", "State": "exited"}, {"Id": "a", "State": "running"}, {"Id": "b", "State": "running"}]
    assert free_bytes(client, containers) == 600 * 1024
    assert memory_info(client, containers) == "MemAvailable: 7 kB\n"
    assert free_bytes(client, containers[:2]) is None
    assert memory_info(client, []) == ""
