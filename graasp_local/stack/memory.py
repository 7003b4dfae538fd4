"""How much memory the services of a site may use, according to their compose files. Needs no engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from graasp_local.stack.services import filled_in, services_in
from graasp_local.wording import counted

_GIB = 1024**3
_UNITS = {"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2, "g": 1024**3, "gb": 1024**3}


def memory_limits(files: Sequence[Path], values: Mapping[str, str], services: Collection[str]) -> dict[str, int]:
    """Bytes by service, for those of these services that have a limit. Raises ConfigurationError."""
    limits: dict[str, int] = {}
    for file in files:
        for name, definition in services_in(file).items():
            written = definition.get("mem_limit") or _deployed(definition)
            size = in_bytes(filled_in(str(written), values)) if written is not None else None
            if name in services and size is not None:
                limits[name] = size
    return limits


def too_many_replicas(limits: Mapping[str, int], replicas: Mapping[str, int], memory: int) -> str | None:
    """Why a machine with `memory` bytes cannot hold this many containers, as a sentence; None if it can.

    `limits` are for one container of each service. Does nothing if each service has one container: whether the limits
    of all services exceed the machine's memory is checked by the doctor.
    """
    limited = {service: number for service, number in replicas.items() if service in limits}
    may_take = sum(limits[service] * number for service, number in limited.items())
    if may_take <= memory or all(number == 1 for number in limited.values()):
        return None
    each = " and ".join(
        f"{counted(number, 'container')} of {name} (limit {limits[name] / _GIB:.1f} GiB{' each' if number > 1 else ''})"
        for name, number in limited.items()
    )
    return f"{each} may use {may_take / _GIB:.1f} GiB of memory in total, but there are only {memory / _GIB:.1f} GiB."


def in_bytes(text: str) -> int | None:
    """`512m`, `1.5g`, `1073741824`, as Compose reads them; None if the text is not a size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?b?)", text.strip().lower())
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def _deployed(definition: Mapping[str, object]) -> object:
    """The limit set by `deploy.resources.limits.memory`."""
    found: object = definition
    for key in ("deploy", "resources", "limits", "memory"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
