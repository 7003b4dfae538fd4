"""What a person asked for, as a value: every option they gave, and nothing found out since.

Built by the command line, the terminal UI and the testing package, and carried out by operations/run.py. The journal
stores it whole, so that `resume` reads it there instead of guessing. The command as it can be typed again and the name
of the journal file follow from it. Pure.
"""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import Any, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from graasp_local.planning.plan import DRAIN_SECONDS, Strategy
from graasp_local.planning.states import InfraState

MIGRATION_SECONDS = 1800.0
"""How long all pending migrations together may take, unless the request says otherwise."""


class OnFailure(StrEnum):
    """What is done when an operation fails after it changed the site."""

    ROLLBACK = "rollback"
    HOLD = "hold"


_SPELLED = {
    "discard_written_since": ["--discard", "written-since"],
    "replace_what_is_there": ["--discard", "current-data"],
}
"""Fields whose option is spelled differently."""


class _Asked(Struct, frozen=True, tag_field="verb", omit_defaults=True):
    """A field is an option of the same name or as in _SPELLED, except the one in `argument`, which is positional."""

    argument: ClassVar[str] = ""

    @property
    def command(self) -> str:
        """As it can be typed again."""
        return shlex.join(["graasp-local", *verb_of(self).split(), *_options(self)])

    @property
    def name(self) -> str:
        """What the journal file is named after."""
        return verb_of(self)


class ChangeState(_Asked, frozen=True, tag="apply"):
    """Bring the site into a state; limit in seconds."""

    argument: ClassVar[str] = "state"
    state: InfraState
    drain_limit: float = DRAIN_SECONDS

    @property
    def name(self) -> str:
        return f"apply-{self.state}"


class Deploy(_Asked, frozen=True, tag="deploy"):
    """Deploy a version; limits in seconds. Without a strategy, the one in the site's settings is used."""

    version: str
    no_backup: bool = False
    strategy: Strategy | None = None
    hold: bool = False
    on_failure: OnFailure = OnFailure.ROLLBACK
    drain_limit: float = DRAIN_SECONDS
    migration_limit: float = MIGRATION_SECONDS
    probe: bool = False

    @property
    def name(self) -> str:
        return f"deploy-{self.version}"


class Resume(_Asked, frozen=True, tag="resume"):
    """Continue what was left unfinished, as it was asked for then; only `on_failure` may be given again."""

    on_failure: OnFailure | None = None


class Rollback(_Asked, frozen=True, tag="rollback"):
    """Put the site back to before its last deployment."""

    discard_written_since: bool = False
    """A person has agreed to this: with an option, or by typing the site's name."""
    on_failure: ClassVar[OnFailure] = OnFailure.ROLLBACK


class Restore(_Asked, frozen=True, tag="restore"):
    """Restore a backup, given its name or path: all of it, or some parts."""

    argument: ClassVar[str] = "backup"
    backup: str
    only: tuple[str, ...] = ()
    replace_what_is_there: bool = False
    """A person has agreed to this: with an option, or by typing the site's name."""
    hold: bool = False
    on_failure: OnFailure = OnFailure.ROLLBACK


class UpgradeDatabase(_Asked, frozen=True, tag="upgrade-database"):
    """Upgrade the database to a newer major of Postgres (None: that of the image), with an image (None: worked out)."""

    to: int | None = None
    image: str | None = None
    on_failure: OnFailure = OnFailure.ROLLBACK
    drain_limit: float = DRAIN_SECONDS

    @property
    def name(self) -> str:
        return f"upgrade-database-{self.to}" if self.to else "upgrade-database"


class Rotate(_Asked, frozen=True, tag="secrets rotate"):
    """Recreate the services that use new secrets; `keys` are settings, empty for all that can be rotated."""

    argument: ClassVar[str] = "keys"
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "rotate-secrets"


class Scale(_Asked, frozen=True, tag="scale"):
    """Run this many containers of services; `sizes` are like "core=3"."""

    argument: ClassVar[str] = "sizes"
    sizes: tuple[str, ...] = ()

    @property
    def wanted(self) -> dict[str, int]:
        """How many of each service. Raises ValueError for a size that is not a number."""
        return {service: int(number) for service, _, number in (size.partition("=") for size in self.sizes)}


Request = ChangeState | Deploy | Resume | Rollback | Restore | UpgradeDatabase | Rotate | Scale


def verb_of(request: Request | _Asked) -> str:
    """The verb of the command line that asks for it."""
    return str(request.__struct_config__.tag)


def ends_in(request: Deploy | Restore) -> InfraState:
    return InfraState.RESTRICTED if request.hold else InfraState.RUNNING


def on_failure_of(request: Request) -> OnFailure:
    """A change of state and a rotation stop where they failed: they have no version to put back."""
    return getattr(request, "on_failure", None) or OnFailure.HOLD


def as_record(request: Request) -> dict[str, Any]:
    """For the journal; `from_record` reads it back."""
    record: dict[str, Any] = msgspec.to_builtins(request)
    return record


def from_record(record: Any) -> Request:
    """Raises ValueError if it is not a request."""
    request: Request = msgspec.convert(record, Request)
    return request


def _options(request: _Asked) -> list[str]:
    words: list[str] = []
    for field in fields(request):
        value = getattr(request, field.name)
        if value == field.default:
            continue
        named = _SPELLED.get(field.name, [f"--{field.name.replace('_', '-')}"])
        option = [] if field.name == request.argument else named
        match value:
            case bool():
                words += option
            case tuple():
                words += [word for each in value for word in (*option, str(each))]
            case float():
                words += [*option, f"{value:g}"]
            case _:
                words += [*option, str(value)]
    return words
