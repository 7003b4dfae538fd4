"""What the doctor's judgements are made from. A fact that could not be had says why, and is never taken for good.

Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from graasp_local.operations.steps.preflight import Problem
from graasp_local.ports.database import CollationChange
from graasp_local.ports.doctor import EngineInfo, Registry
from graasp_local.ports.images import ImageFact
from graasp_local.site.check import Finding as ConfigurationFinding

T = TypeVar("T")


class Known(Struct, Generic[T], frozen=True):
    """A fact that could be had."""

    value: T


class Unknown(Struct, frozen=True):
    """A fact that could not be had; `why` goes on from "because"."""

    why: str


Fact = Known[T] | Unknown


class PortUse(Struct, frozen=True):
    """A port that nginx needs: who else has it, in words; None if it can be had, or nginx has it.

    `lowest` is the lowest that the engine may publish.
    """

    port: int
    holder: str | None
    lowest: int = 0


class HostName(Struct, frozen=True):
    """A name that visitors use: the addresses that it leads to from here; empty if it leads nowhere.

    `silent` are IPv6 addresses among them at which nobody answers, though one of IPv4 does or none can be reached.
    """

    name: str
    addresses: tuple[str, ...]
    silent: tuple[str, ...] = ()


class Certificate(Struct, frozen=True):
    """What is served for the site's name: days until it ends; `problem` says why browsers refuse it, or is empty."""

    host: str
    days_left: int | None
    problem: str = ""


class AcmeRenewal(Struct, frozen=True):
    """How the certificate of an authority is kept from ending.

    `due` says why it has to be renewed, None while it need not; `problem` is what the last attempt ran into, as a
    sentence; `timer_days_ago` is None where it was never renewed but by a person at a terminal.
    """

    due: str | None
    problem: str
    timer_days_ago: float | None


class OwnFiles(StrEnum):
    """Certificate files of one's own, against the copy that nginx has."""

    TAKEN_OVER = "taken over"
    CHANGED = "changed"


class MailServer(Struct, frozen=True):
    """How the mail server answered: `problem` is the end of a sentence, empty if it said EHLO back."""

    host: str
    port: int
    problem: str = ""


class PostgresMajors(Struct, frozen=True):
    """The major that the data directory was written by, and the one that the image would start."""

    data: int
    image: int


class Return(Struct, frozen=True):
    """Whether a failed deployment could bring back the version that is served now: services, none where all is well."""

    version: str
    lost: tuple[str, ...] = ()
    """There is no image for these."""
    other_builds: tuple[str, ...] = ()
    """There is another image for these than they were deployed with."""


class Facts(Struct, frozen=True):
    """Everything that was found out. Seconds and bytes."""

    configuration: tuple[ConfigurationFinding, ...]
    rotation_cut_off: tuple[str, ...]
    engine: Fact[EngineInfo]
    compose: Fact[str]
    version: str
    """The one whose images were looked for; empty where none was named and none was deployed."""
    images: Fact[tuple[ImageFact, ...]]
    registry: Fact[Registry]
    database_bytes: Fact[int]
    limits: Fact[Mapping[str, int]]
    ports: Fact[tuple[PortUse, ...]]
    names: Fact[tuple[HostName, ...]]
    certificate: Fact[Certificate | None]
    """None where the site is not https."""
    renewal: Fact[AcmeRenewal | OwnFiles | None]
    """None where the site has no TLS of its own."""
    clock_ahead_seconds: Fact[float]
    mail: Fact[MailServer]
    leftovers: Fact[tuple[str, ...]]
    volumes: Fact[tuple[str, ...]]
    postgres: Fact[PostgresMajors]
    unfinished: str | None
    collations: Fact[tuple[CollationChange, ...]] = Known(())
    refusals: Fact[tuple[Problem, ...]] = Unknown("it was not asked")
    """What a deployment would be refused for, by its own checks."""
    way_back: Fact[Return | None] = Known(None)
    """None where nothing was deployed yet."""
    newer_maker: str | None = None
    """The version of a newer graasp-local that has written to the site's `.env`."""
