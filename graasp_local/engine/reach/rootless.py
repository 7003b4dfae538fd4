"""What a rootless engine does only on some machines: publish low ports, outlive a session, limit memory."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_UNPRIVILEGED_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_CAPABILITIES = "security.capability"
_SYSTEMD = Path("/run/systemd/system")
_LINGERING = Path("/var/lib/systemd/linger")


def is_rootless(info: Mapping[str, Any]) -> bool:
    """From the answer of `GET /info`. Pure."""
    return any("name=rootless" in option for option in info.get("SecurityOptions") or ())


def lowest_port(info: Mapping[str, Any]) -> int:
    """The lowest port that the engine may publish on this machine; 0 for any.

    Rootlesskit publishes them; it may have been given the capability for low ports.
    """
    if not is_rootless(info) or _may_bind_low_ports():
        return 0
    try:
        return int(_UNPRIVILEGED_START.read_text())
    except (OSError, ValueError):
        return 1024


def ends_with_session_of(
    info: Mapping[str, Any], address: str, systemd: Path = _SYSTEMD, lingering: Path = _LINGERING
) -> str:
    """The user with whose last session systemd ends this engine on this machine; empty if it keeps running.

    `address` is the engine's; its socket belongs to the user who runs it.
    """
    if not is_rootless(info) or not systemd.exists():
        return ""
    try:
        name = pwd.getpwuid(Path(address.removeprefix("unix://")).stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
    return "" if (lingering / name).exists() else name


def limits_memory(info: Mapping[str, Any]) -> bool:
    """Whether `mem_limit` is enforced. Pure."""
    return bool(info.get("MemoryLimit", True)) and info.get("CgroupDriver") != "none"


def _may_bind_low_ports() -> bool:
    program = shutil.which("rootlesskit")
    try:
        return program is not None and bool(os.getxattr(program, _CAPABILITIES))
    except OSError:
        return False
