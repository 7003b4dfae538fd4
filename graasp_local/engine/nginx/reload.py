"""Makes nginx reload its files without dropping a request, and checks that it did."""

from __future__ import annotations

import ssl
import time
from typing import Any, Protocol

from graasp_local.engine.containers.inside import SiteContainers, run_inside, running_edge
from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.engine.reach.client import engine_errors
from graasp_local.errors import Refused

_TIMEOUT_SECONDS = 5.0


class SiteOfNginx(SiteContainers, Protocol):
    """The site whose nginx it is."""

    def send_files(self) -> None: ...


class EdgeReload:
    """nginx of one site, in its container."""

    def __init__(self, engine: SiteOfNginx, edge: HttpEdge) -> None:
        self._engine = engine
        self._edge = edge

    def refusal(self) -> str | None:
        self._engine.send_files()
        code, said = self._run("nginx", "-t")
        return None if code == 0 else said.strip().splitlines()[0]

    def reload(self) -> None:
        self._engine.send_files()
        self._run("nginx", "-s", "reload")

    def serves(self, pem: str) -> bool:
        try:
            with self._edge.connection(_TIMEOUT_SECONDS) as connection:
                assert isinstance(connection, ssl.SSLSocket)  # noqa: S101 - there is a certificate
                shown = connection.getpeercert(binary_form=True)
        except OSError:
            return False
        end = "-----END CERTIFICATE-----"
        return shown == ssl.PEM_cert_to_DER_cert(pem[: pem.index(end)] + end)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def _run(self, *words: str) -> tuple[int, str]:
        with engine_errors():
            code, said = run_inside(self._engine.client, self._container()["Id"], words)
        return code, said.decode(errors="replace")

    def _container(self) -> dict[str, Any]:
        edge = running_edge(self._engine.containers())
        if edge is not None:
            return edge
        raise Refused(
            "nginx is not running.",
            "Nothing was changed: nginx is needed to get a certificate by ACME, and to verify that visitors get it.",
            "In the state stopped it is off, unless STOPPED_PAGE=on in .env; `graasp-local apply db-only` starts it.",
        )
