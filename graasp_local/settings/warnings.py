"""What works, or might, and should be looked at in a `.env`: the rules that keep no command from going on. Pure.

They also need to know what the site's compose files use. Each problem names key and line, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from graasp_local.settings.rules import (
    ALL_ADDRESSES,
    BY_KEY,
    S3_KEYS,
    Problem,
    Reading,
    Severity,
    is_address,
    keeps_logins,
    parts_of_url,
)
from graasp_local.settings.table import SETTINGS, FromOutside, is_own
from graasp_local.version import Version

_COMPOSES_OWN = ("COMPOSE_", "DOCKER_")
"""Variables that Compose or the engine's client read for themselves."""


class Surroundings(Struct, frozen=True):
    """What a `.env` is used together with: variables that the compose files use, profiles that they define.

    `version` is the one that is deployed, None before the first.
    """

    variables: frozenset[str]
    profiles: frozenset[str]
    version: Version | None = None


def warnings(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    """What works, or might, and should be looked at."""
    yield from _unknown_keys(reading, surroundings)
    yield from _secrets_used_twice(reading)
    yield from _unused_storage(reading)
    values = reading.values
    for profile in filter(None, values.get("COMPOSE_PROFILES", "").split(",")):
        if profile not in surroundings.profiles:
            known = ", ".join(sorted(surroundings.profiles)) or "none"
            yield _warning(
                reading,
                "COMPOSE_PROFILES",
                f"names {_quoted(profile)}, a profile that no service has{_near(profile, surroundings.profiles)}",
                f"Profiles of this site: {known}.",
            )
    if surroundings.version is not None and needs_recaptcha(surroundings.version, values):
        yield _warning(reading, "RECAPTCHA_SECRET_ACCESS_KEY", NO_RECAPTCHA, WITH_RECAPTCHA)
    url = parts_of_url(values.get("PUBLIC_URL", ""))
    without_tls = values.get("TLS", "off") in ("", "off")
    if url and url.scheme == "https" and without_tls and not values.get("TRUSTED_PROXIES"):
        yield _warning(
            reading,
            "TRUSTED_PROXIES",
            "is empty, so what the TLS proxy in front says of a visitor is not believed: core takes all for plain HTTP",
            "Set it to host for a proxy on this machine, else to its address.",
        )
    if url and url.scheme == "https" and without_tls and values.get("HTTP_BIND") in ALL_ADDRESSES:
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is https, and nginx speaks plain HTTP on every address of this machine",
            "Put a TLS proxy in front; if it is on this machine, set HTTP_BIND to 127.0.0.1.",
        )
    if url and url.scheme == "http" and not keeps_logins(url.hostname or ""):
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is http: nobody stays logged in, since browsers keep Graasp's session over HTTPS or on localhost only, "
            "and passwords cross the network in the clear",
            "Let nginx speak TLS, or put a TLS proxy in front, and write https.",
        )
    if url and is_address(url.hostname or "") and _files_are_here(values):
        yield _warning(
            reading,
            "PUBLIC_URL",
            "has an address for a host, where core and workers do not find uploaded files while the gate is closed, "
            "and on an address of this machine alone never: exports and looking at images fail",
            "Write a name; for this machine alone, localhost.",
        )
    if not values.get("IMAGE_CLASSIFIER_API") and "nudenet" not in values.get("COMPOSE_PROFILES", "").split(","):
        yield _warning(
            reading,
            "IMAGE_CLASSIFIER_API",
            "is not set and the profile nudenet is off: nothing that has an image can be published",
            "Add nudenet to COMPOSE_PROFILES, or name another classifier.",
        )
    if url and url.scheme == "http" and str(url.port or 80) != values.get("HTTP_PORT"):
        yield _warning(
            reading,
            "PUBLIC_URL",
            f"says port {url.port or 80}, and nginx listens on HTTP_PORT",
            "Leave it if a proxy stands between; otherwise let the two agree.",
        )
    if any(re.fullmatch(r"(https?://)?\*(:.*)?/?|https?:", site) for site in values.get("FRAME_ANCESTORS", "").split()):
        yield _warning(
            reading,
            "FRAME_ANCESTORS",
            "lets every site show this one in a frame, where visitors can be led to press what they do not see",
            "Name the sites that may.",
        )
    if re.search(r"@(localhost|127\.\d+\.\d+\.\d+)(:|$)", values.get("MAILER_CONNECTION", "")):
        yield _warning(
            reading,
            "MAILER_CONNECTION",
            "points to core's own container, where no mail server is: nobody can register or log in by mail",
            "Name the mail server as it is reached from a container.",
        )


_REAL = Version(2, 0, 0)
_WITHOUT_RECAPTCHA = Version(2, 13, 9)
NO_RECAPTCHA = "is not set: before Graasp 2.13.9 nobody logs in or registers without keys of Google's reCAPTCHA"
WITH_RECAPTCHA = (
    "Set it and RECAPTCHA_SITE_KEY, then build the client again (`graasp-local build`); or deploy 2.13.9 or newer."
)


def needs_recaptcha(version: Version, values: Mapping[str, str]) -> bool:
    """Whether this version of Graasp lets nobody in with these settings."""
    has_key = values.get("RECAPTCHA_SECRET_ACCESS_KEY", "") not in ("", "unused")
    return _REAL <= version < _WITHOUT_RECAPTCHA and not has_key


def _unknown_keys(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    known = {key for key in (*BY_KEY, *surroundings.variables) if not is_own(key)}
    for key in reading.values:
        if is_own(key):
            yield _warning(reading, key, "is graasp-local's own and set by it", f"Take the line with {key} out.")
        elif key not in known and not key.startswith(_COMPOSES_OWN):
            said = f"is no setting, and no compose file uses it{_near(key, known)}"
            yield _warning(reading, key, said, "Mend its name, or take the line out.")


def _secrets_used_twice(reading: Reading) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for setting in SETTINGS:
        value = reading.values.get(setting.key, "")
        if not value or setting.secret is None or isinstance(setting.secret, FromOutside):
            continue
        if value in first:
            yield _warning(
                reading,
                setting.key,
                f"is the same secret as {first[value]}: who learns one has both",
                f"`graasp-local secrets rotate {setting.key}` makes a new one.",
            )
        first.setdefault(value, setting.key)


def _unused_storage(reading: Reading) -> Iterator[Problem]:
    for kind, keys in S3_KEYS.items():
        for key in keys:
            if reading.values.get(key) and reading.values.get(kind) != "s3":
                yield _warning(reading, key, f"is set, and {kind} is not s3", f"Set {kind} to s3, or take {key} out.")


def _near(name: str, known: set[str] | frozenset[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"; perhaps {near[0]} is meant" if near else ""


def _quoted(text: str) -> str:
    return f"{text[:40]!r}"


def _files_are_here(values: Mapping[str, str]) -> bool:
    return any(values.get(key, "local") in ("", "local") for key in S3_KEYS)


def _warning(reading: Reading, key: str, said: str, mend: str) -> Problem:
    return Problem(Severity.WARNING, key, reading.lines.get(key), said, mend)
