"""Which secrets get new values, and how a `.env` is changed to contain them. Pure, except that it generates the values.

Refuses what cannot be rotated, and says why. Changes only the values in a `.env`: comments, order and the quotes of
other lines stay.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from graasp_local.errors import UsageError
from graasp_local.settings.table import SETTINGS, DatabasePassword, FromOutside, Generated, Setting


@dataclass(frozen=True, slots=True)
class Rotation:
    """New values by key."""

    values: Mapping[str, str] = field(repr=False)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.values)

    @property
    def passwords(self) -> Mapping[str, str]:
        """The new passwords of roles in Postgres, by role."""
        return {
            setting.secret.role: self.values[setting.key]
            for setting in SETTINGS
            if setting.key in self.values and isinstance(setting.secret, DatabasePassword)
        }


_SUPERUSERS = "POSTGRES_PASSWORD"
_PROVIDERS = "DATABASE_ADMIN_PASSWORD"


def rotatable(*, external: bool = False) -> tuple[Setting, ...]:
    """The secrets for which a new value can be generated, in the order of the table.

    `external`: the database is, so that its superuser's password is not the site's to change.
    """
    return tuple(
        setting
        for setting in SETTINGS
        if isinstance(setting.secret, Generated | DatabasePassword) and not (external and setting.key == _SUPERUSERS)
    )


def chosen(names: Sequence[str], *, external: bool = False) -> tuple[Setting, ...]:
    """The settings with these names, in the order of the table. Raises UsageError for one that cannot be rotated."""
    for name in names:
        if name == _PROVIDERS or (external and name == _SUPERUSERS):
            said = (
                "it belongs to whoever runs the external database"
                if name == _PROVIDERS
                else "the database is external, and its superuser belongs to whoever runs it"
            )
            raise UsageError(
                f"{name} cannot be rotated here: {said}.",
                "Nothing was changed.",
                f"Change the password of DATABASE_ADMIN_USER there, then set {_PROVIDERS} in .env.",
            )
    by_key = {setting.key: setting for setting in SETTINGS}
    for name in names:
        setting = by_key.get(name)
        if setting is None:
            near = difflib.get_close_matches(name.upper(), [s.key for s in rotatable()], n=1)
            raise UsageError(
                f"There is no secret called {name[:64]!r}.",
                "Nothing was changed.",
                f"Did you mean {near[0]}?" if near else "`graasp-local secrets list` lists them.",
            )
        match setting.secret:
            case Generated() | DatabasePassword():
                pass
            case FromOutside(why=why):
                raise UsageError(f"{name} cannot be rotated here.", "Nothing was changed.", why)
            case None:
                raise UsageError(
                    f"{name} is not a secret.",
                    "Nothing was changed.",
                    "`graasp-local secrets list` lists what can be rotated.",
                )
            case _:
                assert_never(setting.secret)
    return tuple(setting for setting in SETTINGS if setting.key in names)


def breaks(setting: Setting) -> str:
    """What a new value logs out or breaks, as sentences."""
    match setting.secret:
        case Generated(breaks=said) | DatabasePassword(breaks=said):
            return said
        case _:
            return ""


def new_rotation(settings: Sequence[Setting]) -> Rotation:
    """A new value for each of these."""
    return Rotation({setting.key: setting.default() for setting in settings})


def with_options(text: str, values: Mapping[str, str]) -> str:
    """The text of a `.env` with these values, whether it had the keys, had them as comments, or not at all."""
    for key, value in values.items():
        try:
            text = with_values(text, {key: value})
        except KeyError:
            line = f"{key}={value}"
            text, replaced = re.subn(rf"^#[ \t]*{key}=.*$", line, text, count=1, flags=re.MULTILINE)
            if not replaced:
                text = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n"
    return text


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The text of a `.env` with these values in place of the old ones. Raises KeyError for a key that it lacks."""
    for key, value in values.items():
        line = re.compile(rf"""^([ \t]*(?:export[ \t]+)?{key}[ \t]*=[ \t]*)('[^']*'|"[^"]*"|[^\s#]*)""", re.MULTILINE)
        text, replaced = line.subn(lambda found, new=value: f"{found[1]}{new}", text, count=1)  # type: ignore[misc]
        if not replaced:
            raise KeyError(key)
    return text
