"""What the doctor asks the engine, as a small protocol; implemented by engine/site/diagnosis.py."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class EngineInfo(Struct, frozen=True):
    """What the engine says about itself and its machine. `free_bytes` is None if its disk is not this machine's."""

    version: str
    platform: str
    memory_bytes: int
    free_bytes: int | None
    lowest_port: int = 0
    """The lowest port that may be published; above 0 if the engine is rootless."""
    ends_with_session_of: str = ""
    """The user with whose last session a rootless engine ends; empty if it keeps running."""
    limits_memory: bool = True
    """Whether `mem_limit` is enforced."""


class Registry(Struct, frozen=True):
    """How a registry answered a request for an image, as this user would pull it."""

    host: str
    refuses: bool


class Diagnosis(Protocol):
    """The engine as one site sees it. Raises a GraaspLocalError whose first sentence says why there is no answer."""

    def info(self) -> EngineInfo: ...
    def registry(self, image: str) -> Registry: ...
    def leftovers(self, services: Collection[str]) -> tuple[str, ...]:
        """Containers of the project that belong to none of these services, or that should have been removed."""
        ...

    def volumes_but(self, defined: Collection[str]) -> tuple[str, ...]:
        """Volumes that Compose created for the project under names other than these."""
        ...
