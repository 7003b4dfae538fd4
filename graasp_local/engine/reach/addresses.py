"""The address of the Docker engine that this user's docker command would use, and the error if it does not answer.

DOCKER_HOST wins, then DOCKER_CONTEXT, then the current context, then the default socket: as with the docker command.
Imports nothing heavy, because `status` waits for it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graasp_local.errors import EngineUnreachable, Refused
from graasp_local.files import json_in

API_VERSION = "1.44"
"""The preferred API version: the newest of Engine 25 and the oldest of Engine 29.0."""
_LONGEST_QUOTE = 300
_NO_LEADER = ("the swarm does not have a leader", "code = deadlineexceeded", "raft:")
"""What a manager answers while too few others are online: at first it waits for them, then gives up leading."""

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


def chosen_address() -> str:
    """The engine as this user names it, such as `ssh://root@graasp.example`.

    Raises EngineUnreachable for a context that does not exist.
    """
    return _original(os.environ.get("DOCKER_HOST") or _address_of_context() or DEFAULT_ADDRESS)


def engine_address() -> str:
    """The address to connect to, such as `unix:///var/run/docker.sock`; an engine behind ssh has one on this machine.

    Raises EngineUnreachable for a context that does not exist, and if ssh cannot reach it.
    """
    chosen = chosen_address()
    if not chosen.startswith("ssh://"):
        return chosen
    with _connecting:
        if chosen not in _forwards:
            _forwards[chosen] = _forward(chosen)
            # The docker command uses the same connection, instead of making its own each time.
            os.environ["DOCKER_HOST"] = _forwards[chosen]
            os.environ.pop("DOCKER_CONTEXT", None)
        return _forwards[chosen]


_forwards: dict[str, str] = {}
"""By the address of an engine behind ssh, the address on this machine that leads to it."""

_connecting = threading.Lock()


def _forward(chosen: str) -> str:
    from graasp_local.engine.reach.ssh_forward import SshFailedError, forward

    try:
        return forward(chosen)
    except SshFailedError as error:
        raise EngineUnreachable(
            f"The Docker engine at {chosen} cannot be reached: {str(error).rstrip('.')}.",
            "The state of the site is unknown, and nothing was changed.",
            f"Make sure that `docker --host {chosen} version` works without a prompt: ssh needs a key, and the host in "
            "known_hosts.",
        ) from error


def _original(address: str) -> str:
    return next((chosen for chosen, local in _forwards.items() if local == address), address)


def engine_host() -> str:
    """The host on which published ports are reached from here."""
    parts = urlsplit(chosen_address())
    return parts.hostname if parts.scheme in ("tcp", "ssh", "http", "https") and parts.hostname else "127.0.0.1"


def is_on_this_machine() -> bool:
    """Whether the engine's disk and ports are this machine's."""
    return engine_host() in ("127.0.0.1", "localhost")


def unreachable(reason: str) -> EngineUnreachable:
    """The error for an engine that does not answer, or that denies this user access."""
    where = _where()
    if "permission denied" in reason.lower():
        return EngineUnreachable(
            f"This user may not use the Docker engine at {where} (permission denied).",
            "The state of the site is unknown, and nothing was changed.",
            _how_to_be_let_in(),
        )
    detail = next((text for text in ("No such file", "Connection refused") if text in reason), "")
    return EngineUnreachable(
        f"No Docker engine answers at {where}{f' ({detail.lower()})' if detail else ''}.",
        "The state of the site is unknown, and nothing was changed.",
        "Start the engine (systemctl start docker, or scripts/ensure-engine in a checkout), or set DOCKER_HOST.",
    )


def refused(status: int, said: str) -> EngineUnreachable:
    """The error for an engine, or a proxy in front of it, that answers but does not do what it is asked.

    `said` is the body of the answer, or the docker SDK's version of it.
    """
    try:
        told = json_in(said)
        words = str(told["message"]) if isinstance(told, dict) else said
    except (ValueError, KeyError):
        words = said
    if lacks_leader(words):
        return without_leader()
    words = " ".join(words.split())[:_LONGEST_QUOTE].rstrip(".") or "no reason was given"
    way = "Check its log (`journalctl --unit docker`)."
    if status in (401, 403):
        way = (
            "If a proxy is in front of the engine, let it allow what Compose and `docker exec` need, or set "
            "DOCKER_HOST to the engine itself."
        )
    return EngineUnreachable(
        f"The Docker engine at {_where()} refused the request ({status}): {words}.",
        "",
        way,
    )


def lacks_leader(said: str) -> bool:
    """Whether an answer of the engine means that its Swarm has no leader."""
    return any(sign in said.lower() for sign in _NO_LEADER)


def without_leader() -> EngineUnreachable:
    """The error for an engine whose Swarm has no leader: it refuses everything that changes something."""
    return EngineUnreachable(
        f"The Swarm of the Docker engine at {_where()} has no leader that answers: more than half of "
        "its managers must be online.",
        "What runs keeps running, but core and workers cannot be changed until then.",
        "Start the other managers. If they are lost for good, run `docker swarm init --force-new-cluster` on "
        "the engine's machine.",
    )


def not_podman(headers: Mapping[str, str]) -> None:
    """Raises Refused if the answer with these headers, by lower-case name, comes from podman."""
    server = headers.get("server", "")
    if "libpod-api-version" in headers or server.lower().startswith("libpod"):
        name = server.partition(" ")[0].replace("Libpod/", "Podman ") or "Podman"
        raise Refused(
            f"{name} answers at {_where()}, but graasp-local needs Docker Engine: its checks do not work with podman.",
            "Nothing was changed.",
            "Install Docker Engine (docs.docker.com/engine/install), or set DOCKER_HOST to one.",
        )


def _where() -> str:
    context = os.environ.get("DOCKER_CONTEXT")
    return _original(os.environ.get("DOCKER_HOST", "")) or (
        f"the docker context {context}" if context else "the default socket"
    )


def _how_to_be_let_in() -> str:
    """How to get access: the socket's group has it, and root always does."""
    user = pwd.getpwuid(os.getuid()).pw_name if _has_name(os.getuid()) else str(os.getuid())
    path = engine_address().removeprefix("unix://")
    try:
        group = Path(path).group()
    except (OSError, KeyError):
        group = "docker"
    if group == "root":
        return "Only root may use the socket: run this command as root, or set DOCKER_HOST to an engine of this user."
    return f"Run `sudo usermod --append --groups {group} {user}` and log in again, or run this command as root."


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _address_of_context() -> str:
    """The address of the selected context; empty for the default one."""
    directory = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 - a user may have no home
    name = os.environ.get("DOCKER_CONTEXT") or str(_read(directory / "config.json").get("currentContext", ""))
    if name in ("", "default"):
        return ""
    # The docker command keeps each context in a directory named by its hash.
    file = directory / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    address = _read(file).get("Endpoints", {}).get("docker", {}).get("Host")
    if not address:
        raise EngineUnreachable(
            f"There is no docker context {name}.",
            "The state of the site is unknown, and nothing was changed.",
            "`docker context ls` lists them. Set DOCKER_CONTEXT to one of these, or run `docker context use NAME`.",
        )
    return str(address)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json_in(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
