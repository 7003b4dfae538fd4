"""The facts that the doctor judges. A fact that could not be determined says why, and never counts as good.

Contains no logic.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from graasp_local.lock import Holder
from graasp_local.operations.steps.preflight import Problem
from graasp_local.ports.database import CollationChange
from graasp_local.ports.doctor import EngineInfo, Registry
from graasp_local.ports.images import ImageFact
from graasp_local.site.check import Finding as ConfigurationFinding

T = TypeVar("T")


class Known(Struct, Generic[T], frozen=True):
    """A fact that was determined."""

    value: T


class Unknown(Struct, frozen=True):
    """A fact that could not be determined; `why` continues a sentence after "because"."""

    why: str


Fact = Known[T] | Unknown


class PortUse(Struct, frozen=True):
    """A port that nginx needs, and what is wrong with it, as a predicate; None if it is free or nginx has it.

    `lowest` is the lowest port that the engine may publish.
    """

    port: int
    problem: str | None
    lowest: int = 0


class HostName(Struct, frozen=True):
    """A name that visitors use, and the addresses that it resolves to from here; empty if it does not resolve.

    `silent` are IPv6 addresses among them that do not answer although an IPv4 one does, or that are unreachable.
    """

    name: str
    addresses: tuple[str, ...]
    silent: tuple[str, ...] = ()


class Certificate(Struct, frozen=True):
    """The certificate served for the site's name, and the days until it expires.

    `problem` says why browsers reject it, or is empty.
    """

    host: str
    days_left: int | None
    problem: str = ""


class AcmeRenewal(Struct, frozen=True):
    """How a certificate from an authority is kept from expiring.

    `due` says why it has to be renewed, None if it is not due; `problem` is what failed in the last attempt, as a
    sentence; `timer_days_ago` is None if only a person at a terminal has ever renewed it.
    """

    due: str | None
    problem: str
    timer_days_ago: float | None


class OwnFiles(StrEnum):
    """The site's own certificate files, compared with the copy that nginx has."""

    TAKEN_OVER = "taken over"
    CHANGED = "changed"


class MailServer(Struct, frozen=True):
    """How the mail server answered: `problem` is the end of a sentence, empty if it accepted EHLO."""

    host: str
    port: int
    problem: str = ""


class PostgresMajors(Struct, frozen=True):
    """The major version that wrote the data directory, and the one that the image would start."""

    data: int
    image: int
    external: str = ""
    """Where the server is if it is external: then `data` is its major version, and `image` that of the tools."""


class Return(Struct, frozen=True):
    """Whether a failed deployment could restore the version served now; lists the affected services, if any."""

    version: str
    lost: tuple[str, ...] = ()
    """No image is available for these."""
    other_builds: tuple[str, ...] = ()
    """For these only another image than the deployed one is available."""


class Facts(Struct, frozen=True):
    """All gathered facts. Units are seconds and bytes."""

    configuration: tuple[ConfigurationFinding, ...]
    rotation_cut_off: tuple[str, ...]
    engine: Fact[EngineInfo]
    compose: Fact[str]
    version: str
    """The version whose images were checked; empty if none was given and none is deployed."""
    images: Fact[tuple[ImageFact, ...]]
    registry: Fact[Registry]
    database_bytes: Fact[int]
    limits: Fact[Mapping[str, int]]
    ports: Fact[tuple[PortUse, ...]]
    names: Fact[tuple[HostName, ...]]
    certificate: Fact[Certificate | None]
    """None if the site is not https."""
    renewal: Fact[AcmeRenewal | OwnFiles | None]
    """None if the site has no TLS of its own."""
    clock_ahead_seconds: Fact[float]
    mail: Fact[MailServer]
    leftovers: Fact[tuple[str, ...]]
    volumes: Fact[tuple[str, ...]]
    postgres: Fact[PostgresMajors]
    unfinished: Fact[str | None]
    """An operation without an end; it is still running if there is a `holder`."""
    collations: Fact[tuple[CollationChange, ...]] = Known(())
    refusals: Fact[tuple[Problem, ...]] = Unknown("it was not asked")
    """Why a deployment would be refused, by its own checks."""
    rollback: Fact[Return | None] = Known(None)
    """None if nothing was deployed yet."""
    holder: Holder | None = None
    """The command that is running on this site."""
    newer_maker: str | None = None
    """The version of a newer graasp-local that has written to the site's `.env`."""
