"""The site's containers by one listing call, whatever their number.

Asked on the engine's own socket with the standard library where the engine is on this machine; by the docker SDK, which
takes four times as long to import as all of `status` may, where it is reached by TCP or ssh.
"""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote

from graasp_local.engine import plain_http
from graasp_local.engine.addresses import API_VERSION, engine_address, unreachable

PROJECT_LABEL = "com.docker.compose.project"
_TIMEOUT_SECONDS = 120
_LONGEST_BYTES = 64 * 1024 * 1024
"""A container takes about 3 kB of the list."""


def containers_of(project: str) -> list[dict[str, Any]]:
    """What `GET /containers/json` says of every container of the project. Raises EngineUnreachable."""
    address = engine_address()
    label = f"{PROJECT_LABEL}={project}"
    if address.startswith("unix://"):
        return _asked_on(address.removeprefix("unix://"), label)
    from graasp_local.engine.client import connect, engine_errors

    with engine_errors():
        found: list[dict[str, Any]] = connect().api.containers(all=True, filters={"label": label})
    return found


def _asked_on(path: str, label: str) -> list[dict[str, Any]]:
    filters = quote(json.dumps({"label": [label]}))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_SECONDS)
            connection.connect(path)
            answer = plain_http.get(
                connection, "docker", f"/v{API_VERSION}/containers/json?all=1&filters={filters}", {}, _LONGEST_BYTES
            )
    except (OSError, plain_http.NotHttpError) as error:
        raise unreachable(str(error)) from error
    if answer.status != 200:
        raise unreachable(answer.body)
    found: list[dict[str, Any]] = json.loads(answer.content)
    return found
