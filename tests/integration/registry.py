"""A real OCI registry on this machine, and what can go wrong between it and the engine."""

from __future__ import annotations

import http.client
import subprocess
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from graasp_local.engine.images.kept import NAMESPACE
from graasp_local.testing.ports import free_port
from tests.integration.demo_site import wait_for
from tests.integration.docker_command import docker

USER, PASSWORD = "graasp", "registry-secret"
_BCRYPT = "$2y$05$B6gKYR6JENR2J1BBlSi17.p/XN/iD9/kfW3EuPi88MzarGc0U2/Ky"

_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

_WITH_LOGIN = """\
auth: {{htpasswd: {{realm: test, path: {passwords}}}}}
"""


@dataclass
class Front:
    """What stands between the engine and the registry: passes on what is asked, or gets in the way."""

    port: int
    forbids: bool = False
    """Answers 403, as some registries do for a login that has expired."""
    breaks_off: bool = False
    """Gives half of a layer, and nothing from then on."""


@dataclass
class Registry:
    """A registry that was started for one test module. `own_port` is where images are pushed to."""

    own_port: int
    front: Front
    namespace: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:8]}")
    pushed: set[str] = field(default_factory=set)

    @property
    def repository(self) -> str:
        """As a site names it."""
        return f"127.0.0.1:{self.front.port}/{self.namespace}/graasp"

    def push(self, image: str, tag: str) -> None:
        """Push an image of this machine, and leave no name of it behind here."""
        name = f"127.0.0.1:{self.own_port}/{self.namespace}/graasp:{tag}"
        docker("tag", image, name)
        docker("push", "--quiet", name)
        docker("rmi", name)

    def push_version(self, version: str, *services: str, under: str = "") -> None:
        """Push the demo images of a version."""
        for service in services or ("core", "workers", "migrate"):
            self.push(f"localhost/graasp-demo/graasp:{service}-v{version}", f"{service}-v{under or version}")

    def push_other_build(self, tag: str) -> None:
        """Push an image that behaves like the demo image of this tag, and is another one."""
        name = f"localhost/{self.namespace}:{tag}"
        source = f"FROM localhost/graasp-demo/graasp:{tag}\nLABEL build={uuid.uuid4().hex}\n"
        docker("build", "--quiet", "--tag", name, "-", text=source)
        self.push(name, tag)
        docker("rmi", name)

    def forget_on_this_machine(self) -> None:
        """What `docker image prune -a` would do with images that no container uses."""
        found = docker(
            "images",
            "--digests",
            "--format",
            "{{.Repository}}:{{.Tag}}@{{.Digest}}",
            "--filter",
            f"reference={self.repository}",
        )
        for line in filter(None, found.splitlines()):
            name, _, digest = line.partition("@")
            references = [f"{self.repository}@{digest}"] + ([] if name.endswith("<none>") else [name])
            image = docker("images", "--no-trunc", "--format", "{{.ID}}", references[0]).split()
            # What a site keeps of it goes as well, as it does with all images that no container uses.
            held = [kept for kept, its_id in _kept_by_sites() if its_id in image]
            subprocess.run(["docker", "rmi", *references, *held], capture_output=True, timeout=60)


def _kept_by_sites() -> list[list[str]]:
    """Tag and id of each image that any site keeps."""
    shown = "{{.Repository}}:{{.Tag}} {{.ID}}"
    listed = docker("images", "--no-trunc", "--filter", f"reference={NAMESPACE}/*", "--format", shown)
    return [line.split() for line in listed.splitlines()]


@contextmanager
def running_registry(directory: Path, *, with_login: bool = False) -> Iterator[Registry]:
    port = free_port()
    passwords, configuration = directory / "passwords", directory / "registry.yaml"
    passwords.write_text(f"{USER}:{_BCRYPT}\n")
    text = _CONFIGURATION + (_WITH_LOGIN if with_login else "")
    configuration.write_text(text.format(storage=directory / "storage", port=port, passwords=passwords))
    with (directory / "registry.log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
    front = Front(free_port())
    server = _server(front, port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    registry = Registry(port, front)
    try:
        wait_for(lambda: _answers(port), "the registry answers")
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        process.terminate()
        process.wait()
        registry.forget_on_this_machine()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True


def _server(front: Front, registry_port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        gone = threading.Event()

        def do_HEAD(self) -> None:
            self._pass_on()

        def do_GET(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            if front.breaks_off and self.gone.is_set():
                self.close_connection = True
                return
            if front.forbids and "/manifests/" in self.path:
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            connection = http.client.HTTPConnection("127.0.0.1", registry_port)
            headers = {key: ", ".join(self.headers.get_all(key, ())) for key in {*self.headers} - {"Connection"}}
            connection.request(self.command, self.path, headers=headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                self.send_header(key, value)
            self.end_headers()
            body = answer.read() if self.command == "GET" else b""
            connection.close()
            if front.breaks_off and "/blobs/" in self.path and len(body) > 1_000_000:
                self.gone.set()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Tests say themselves what went wrong."""

    return ThreadingHTTPServer(("127.0.0.1", front.port), Handler)
