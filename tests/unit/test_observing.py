"""One look: what is asked of the engine and the gate, by how many requests, and what is loaded for it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.engine.reach.plain_http import NotHttpError, parse
from graasp_local.stack.cache import services_of
from graasp_local.stack.services import read_services, stack_directory

COMPOSE_FILE = stack_directory() / "compose" / "compose.yaml"


@contextmanager
def engine_that_lists(containers: list[dict[str, Any]], path: Path) -> Iterator[list[str]]:
    """An engine on a socket that answers every request with this list; yields the request lines that it got."""
    asked: list[str] = []
    body = json.dumps(containers).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65536).decode().split("\r\n")[0])
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        threading.Thread(target=serve, daemon=True).start()
        yield asked
        listening.shutdown(socket.SHUT_RDWR)


def container(number: int) -> dict[str, Any]:
    return {
        "Id": f"{number:064x}",
        "Names": [f"/x-own{number}-1"],
        "Labels": {"org.graasp.group": "graasp", "com.docker.compose.service": f"own{number}"},
        "State": "running",
        "Status": "Up 2 minutes (healthy)",
        "Image": "own:1",
        "Ports": [],
    }


@pytest.fixture
def site(tmp_path: Path) -> Path:
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--demo"]).exit_code == 0
    return tmp_path / "site"


def observe(site: Path, engine: Path) -> tuple[dict[str, Any], set[str]]:
    """What `status --json` says, and which modules it has loaded by then."""
    code = (
        f"import sys; sys.argv = ['graasp-local', '--site', {str(site)!r}, 'status', '--json']\n"
        "from graasp_local.cli.main import run\n"
        "run()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"DOCKER_HOST": f"unix://{engine}", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said, modules = done.stdout.splitlines()
    return json.loads(said), set(modules.split())


@pytest.mark.parametrize("number", [5, 50, 200])
def test_an_observation_is_one_listing_call_whatever_the_number_of_containers(
    site: Path, tmp_path: Path, number: int
) -> None:
    with engine_that_lists([container(n) for n in range(number)], tmp_path / "socket") as asked:
        told, _ = observe(site, tmp_path / "socket")
    assert len([service for service in told["services"] if service["service"].startswith("own")]) == number
    assert [line.partition("?")[0] for line in asked] == ["GET /v1.44/containers/json"]


def test_a_whole_status_loads_nothing_heavy(site: Path, tmp_path: Path) -> None:
    heavy = {
        "textual",
        "pydantic",
        "python_on_whales",
        "psycopg",
        "docker",
        "requests",
        "rich",
        "psutil",
        "http.client",
    }
    (site / ".graasp-local" / "services.json").unlink()  # what `init` kept of them
    with engine_that_lists([container(1)], tmp_path / "socket"):
        _, first = observe(site, tmp_path / "socket")
        _, second = observe(site, tmp_path / "socket")
    assert heavy & first == set()
    # The first look reads the compose files, and later ones what it kept of them.
    assert "yaml" in first
    assert (heavy | {"yaml", "dotenv"}) & second == set()


def test_what_was_kept_of_the_compose_files_is_for_those_files_only(tmp_path: Path) -> None:
    override, cache = tmp_path / "compose.override.yaml", tmp_path / "services.json"
    for name in ("first", "second"):
        override.write_text(f"services: {{{name}: {{image: x, labels: {{org.graasp.group: graasp}}}}}}\n")
        for _ in range(2):
            assert services_of((COMPOSE_FILE, override), [""], cache) == read_services((COMPOSE_FILE, override))
    override.write_text("services: {own: {image: x, profiles: [extra], labels: {org.graasp.group: graasp}}}\n")
    for profiles in (["extra"], [""]):
        found = services_of((COMPOSE_FILE, override), profiles, cache)
        assert found == read_services((COMPOSE_FILE, override), profiles)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"digest": 1, "services": [["a"]]}', "\0"])
def test_a_broken_cache_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    cache = tmp_path / "services.json"
    cache.write_text(content)
    assert services_of((COMPOSE_FILE,), [], cache) == read_services((COMPOSE_FILE,))
    assert services_of((COMPOSE_FILE,), [], tmp_path / "nowhere" / "cache") == read_services((COMPOSE_FILE,))


def test_an_answer_by_length_by_pieces_and_by_the_end_of_its_connection() -> None:
    by_length = parse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nGraasp-Gate: closed\r\n\r\nno")
    assert (by_length.status, by_length.headers["graasp-gate"], by_length.body) == (503, "closed", "no")
    assert (
        parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n").body == "abcd"
    )
    assert parse(b"HTTP/1.0 200 OK\r\n\r\nall of it").body == "all of it"


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_what_is_cut_off_is_not_an_answer(received: bytes) -> None:
    with pytest.raises(NotHttpError):
        parse(received)
