"""Where the Docker engine is that this user's docker command would use, and the error for one that does not answer.

DOCKER_HOST wins, then DOCKER_CONTEXT, then the current context, then the default socket: as with the docker command.
Imports nothing heavy: `status` waits for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graasp_local.errors import EngineUnreachable

API_VERSION = "1.43"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


def engine_address() -> str:
    """Such as `unix:///var/run/docker.sock`. Raises EngineUnreachable for a context that there is not."""
    return os.environ.get("DOCKER_HOST") or _address_of_context() or DEFAULT_ADDRESS


def engine_host() -> str:
    """The host on which published ports are reached from here."""
    parts = urlsplit(engine_address())
    return parts.hostname if parts.scheme in ("tcp", "ssh", "http", "https") and parts.hostname else "127.0.0.1"


def is_on_this_machine() -> bool:
    """Whether the engine's disk and ports are this machine's."""
    return engine_host() in ("127.0.0.1", "localhost")


def unreachable(reason: str) -> EngineUnreachable:
    """The error for an engine that does not answer."""
    context = os.environ.get("DOCKER_CONTEXT")
    where = os.environ.get("DOCKER_HOST") or (f"the docker context {context}" if context else "the default socket")
    detail = next((text for text in ("No such file", "Permission denied", "Connection refused") if text in reason), "")
    return EngineUnreachable(
        f"No Docker engine answers at {where}{f' ({detail.lower()})' if detail else ''}.",
        "Nothing is known about the site just now, and nothing was changed.",
        "Start the engine (systemctl start docker, or scripts/ensure-engine in a checkout), or set DOCKER_HOST.",
    )


def _address_of_context() -> str:
    """The address of the chosen context; empty for the default one."""
    directory = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
    name = os.environ.get("DOCKER_CONTEXT") or str(_read(directory / "config.json").get("currentContext", ""))
    if name in ("", "default"):
        return ""
    # The docker command keeps each context in a directory that is named by its hash.
    file = directory / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    address = _read(file).get("Endpoints", {}).get("docker", {}).get("Host")
    if not address:
        raise unreachable(f"there is no docker context {name}")
    return str(address)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
