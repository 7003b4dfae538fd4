"""Ports of this machine for a stack: one for nginx, found free, and enough others for the engine to pick from.

Refuses a machine on which too few are free. For an engine on another machine, that engine has to be asked.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

from graasp_local.errors import Refused

_LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
"""Below it are the usual ports of well-known programs."""
_USUAL = range(32_768, 61_000)
_CONNECTIONS = 8
"""Ports for graasp-local's own connections to nginx and the database."""
_TRIES = 1000


def port_outside(picked_from: range) -> int:
    """A random port that neither the kernel nor the engine picks on its own, so that it is still free when needed.

    Any other one if they pick from all of them. Pure but for chance.
    """
    outside = [port for port in range(_LOWEST, 1 << 16) if port not in picked_from]
    return secrets.choice(outside or range(_LOWEST, 1 << 16))


def free_port() -> int:
    """A port that nothing listens on now. Raises Refused if none was found."""
    picked_from = _picked_from()
    for _ in range(_TRIES):
        port = port_outside(picked_from)
        with socket.socket() as probe:
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return port
    raise Refused(
        f"No free port was found on this machine; {_TRIES} were tried.",
        "Nothing was started.",
        "Stop the programs that use them (ss --listening --processes), then try again.",
    )


def refuse_too_few(published: int) -> None:
    """Raises Refused if the engine could not pick this many ports, or connections would have none left."""
    needed = published + _CONNECTIONS
    with ExitStack() as held:
        for count in range(needed):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((_LOOPBACK, 0))
            except OSError as error:
                picked_from = _picked_from()
                raise Refused(
                    f"Too few ports of this machine are free: a stack needs {needed} of {picked_from.start} to "
                    f"{picked_from.stop - 1}, and there {'is' if count == 1 else 'are'} {count or 'none'} left.",
                    "Nothing was started.",
                    "Stop the programs that use them (ss --all --tcp --processes), or widen the range "
                    "(sysctl net.ipv4.ip_local_port_range).",
                ) from error


def _picked_from() -> range:
    """The ports from which the kernel and the engine pick."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):  # not Linux
        return _USUAL
    return range(int(first), int(last) + 1)
