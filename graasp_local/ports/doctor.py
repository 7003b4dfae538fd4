"""What the doctor asks the engine, as a small protocol; engine/diagnosis.py is the real one. Does nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class EngineInfo(Struct, frozen=True):
    """What the engine says of itself and its machine; bytes. `free_bytes` is None where its disk is not this one's."""

    version: str
    platform: str
    memory_bytes: int
    free_bytes: int | None
    lowest_port: int = 0
    """The lowest port that may be published; above 0 where the engine is rootless."""
    limits_memory: bool = True
    """Whether `mem_limit` is enforced."""


class Registry(Struct, frozen=True):
    """How a registry answered to a request for an image as this user would pull it."""

    host: str
    refuses: bool


class Diagnosis(Protocol):
    """The engine as one site sees it. Raises a GraaspLocalError whose first sentence says why there is no answer."""

    def info(self) -> EngineInfo: ...
    def registry(self, image: str) -> Registry: ...
    def leftovers(self, services: Collection[str]) -> tuple[str, ...]:
        """Containers of the project that are of none of these services, and those an operation should have removed."""
        ...

    def volumes_but(self, defined: Collection[str]) -> tuple[str, ...]:
        """Volumes that Compose made for the project under other names than these."""
        ...
