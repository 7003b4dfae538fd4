"""The site's containers in one API call, whatever their number.

Uses the standard library on the engine's own socket if the engine is on this machine. If it is reached by TCP or ssh,
uses the docker SDK, which alone takes four times as long to import as `status` may take.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from graasp_local.engine.reach import plain_http
from graasp_local.engine.reach.addresses import engine_address, not_podman, refused, unreachable
from graasp_local.engine.reach.api_version import ask
from graasp_local.errors import EngineUnreachable

PROJECT_LABEL = "com.docker.compose.project"
_TIMEOUT_SECONDS = 120
_LONGEST_BYTES = 64 * 1024 * 1024
"""A container takes about 3 kB of the list."""


def containers_of(project: str, *, to_observe_only: bool = False) -> list[dict[str, Any]]:
    """What `GET /containers/json` returns for every container of the project.

    Raises EngineUnreachable; also Refused if podman answers, unless `to_observe_only`.
    """
    address = engine_address()
    label = f"{PROJECT_LABEL}={project}"
    if address.startswith("unix://"):
        return _asked_on(address, label, to_observe_only=to_observe_only)
    from graasp_local.engine.reach.client import connect, engine_errors, headers_of

    with engine_errors():
        client = connect()
        if not to_observe_only:
            not_podman(headers_of(client))
        found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": label})
    return found


def refuse_podman() -> None:
    """Raises Refused if podman answers. An engine that does not answer is reported by the next request."""
    address = engine_address()
    if address.startswith("unix://"):
        with suppress(OSError, plain_http.NotHttpError):
            not_podman(ask(address, "/_ping", _TIMEOUT_SECONDS, _LONGEST_BYTES).headers)
        return
    from graasp_local.engine.reach.client import connect, engine_errors, headers_of

    with suppress(EngineUnreachable), engine_errors():
        not_podman(headers_of(connect()))


def _asked_on(address: str, label: str, *, to_observe_only: bool) -> list[dict[str, Any]]:
    path = f"/containers/json?all=1&filters={quote(json.dumps({'label': [label]}))}"
    try:
        answer = ask(address, path, _TIMEOUT_SECONDS, _LONGEST_BYTES)
    except (OSError, plain_http.NotHttpError) as error:
        raise unreachable(str(error)) from error
    if not to_observe_only:
        not_podman(answer.headers)
    if answer.status != 200:
        raise refused(answer.status, answer.body)
    try:
        found: list[dict[str, Any]] = json.loads(answer.content)
    except ValueError as error:
        raise refused(answer.status, "its list of containers cannot be read") from error
    return found
