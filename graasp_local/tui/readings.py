"""CPU and memory use of services, with a short history. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from graasp_local.ports.live import Usage

HISTORY_LENGTH = 180
"""A quarter of an hour at one reading every five seconds."""


class Reading(Struct, frozen=True):
    """A service's CPU use in percent of one core and memory use in bytes, with their histories, oldest first."""

    last: Usage
    cpu_percent: float | None = None
    history: tuple[float, ...] = field(default=())
    memory_history: tuple[float, ...] = field(default=())


def with_usage(readings: Mapping[str, Reading], service: str, usage: Usage) -> dict[str, Reading]:
    """The readings plus one more. A CPU percentage needs two readings of the same container."""
    before = readings.get(service)
    memory = (*(before.memory_history if before else ()), float(usage.memory_bytes))[-HISTORY_LENGTH:]
    reading = Reading(usage, memory_history=memory)
    if before is not None and usage.at > before.last.at and usage.cpu_seconds >= before.last.cpu_seconds:
        percent = 100 * (usage.cpu_seconds - before.last.cpu_seconds) / (usage.at - before.last.at)
        reading = replace(reading, cpu_percent=percent, history=(*before.history, percent)[-HISTORY_LENGTH:])
    return {**readings, service: reading}
