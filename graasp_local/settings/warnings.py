"""What works, or might, but deserves attention in a `.env`: rules that do not stop a command. Pure.

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
    keeps_logins,
    parts_of_url,
    recaptcha_key_error,
)
from graasp_local.settings.table import SETTINGS, FromOutside, is_own
from graasp_local.version import Version

_COMPOSES_OWN = ("COMPOSE_", "DOCKER_")
"""Variables that Compose or the docker client read themselves."""


class Surroundings(Struct, frozen=True):
    """The context of a `.env`: the variables that the compose files use, and the profiles that they define.

    `version` is the deployed one, None before the first deployment.
    """

    variables: frozenset[str]
    profiles: frozenset[str]
    version: Version | None = None


def warnings(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    """What works, or might, but deserves attention."""
    yield from _unknown_keys(reading, surroundings)
    yield from _secrets_used_twice(reading)
    yield from _unused_storage(reading)
    values = reading.values
    for profile in filter(None, values.get("COMPOSE_PROFILES", "").split(",")):
        if profile not in surroundings.profiles:
            known = ", ".join(sorted(surroundings.profiles)) or "none"
            near = _near(profile, surroundings.profiles)
            yield _warning(
                reading,
                "COMPOSE_PROFILES",
                f"contains {_quoted(profile)}, which is not the profile of any service{near}",
                f"Profiles of this site: {known}.",
            )
    if surroundings.version is not None and needs_recaptcha(surroundings.version, values):
        yield _warning(reading, "RECAPTCHA_SECRET_ACCESS_KEY", NO_RECAPTCHA, WITH_RECAPTCHA)
    for key in ("RECAPTCHA_SITE_KEY", "RECAPTCHA_SECRET_ACCESS_KEY"):
        text = values.get(key, "")
        wrong = None if text in ("", "unused") else recaptcha_key_error(text)
        if wrong:
            yield _warning(reading, key, wrong, "Take it from https://www.google.com/recaptcha/admin.")
    url = parts_of_url(values.get("PUBLIC_URL", ""))
    without_tls = values.get("TLS", "off") in ("", "off")
    if url and url.scheme == "https" and without_tls and not values.get("TRUSTED_PROXIES"):
        yield _warning(
            reading,
            "TRUSTED_PROXIES",
            "is empty, so the headers of the TLS proxy in front are not trusted, and core treats every request "
            "as plain HTTP",
            "Set it to host for a proxy on the same machine, otherwise to its address.",
        )
    if url and url.scheme == "https" and without_tls and values.get("HTTP_BIND") in ALL_ADDRESSES:
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is https, but nginx serves plain HTTP on every address of its machine",
            "Put a TLS proxy in front; if it is on the same machine, set HTTP_BIND to 127.0.0.1.",
        )
    if url and url.scheme == "http" and not keeps_logins(url.hostname or ""):
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is http: users are logged out at once, because browsers keep Graasp's session cookie only over HTTPS "
            "or on localhost, and passwords cross the network unencrypted",
            "Switch TLS on or put a TLS proxy in front, and change it to https.",
        )
    if not values.get("IMAGE_CLASSIFIER_API") and "nudenet" not in values.get("COMPOSE_PROFILES", "").split(","):
        yield _warning(
            reading,
            "IMAGE_CLASSIFIER_API",
            "is not set and the profile nudenet is off: items with an image cannot be published",
            "Add nudenet to COMPOSE_PROFILES, or set another classifier.",
        )
    if url and url.scheme == "http" and str(url.port or 80) != values.get("HTTP_PORT"):
        yield _warning(
            reading,
            "PUBLIC_URL",
            f"has port {url.port or 80}, but nginx listens on HTTP_PORT",
            "This is fine behind a proxy; otherwise set both to the same port.",
        )
    if any(re.fullmatch(r"(https?://)?\*(:.*)?/?|https?:", site) for site in values.get("FRAME_ANCESTORS", "").split()):
        yield _warning(
            reading,
            "FRAME_ANCESTORS",
            "lets any site show this one in a frame, which makes clickjacking possible",
            "List only the sites that may.",
        )
    external = values.get("DATABASE") == "external"
    if external and values.get("DATABASE_SSL") == "off":
        yield _warning(
            reading,
            "DATABASE_SSL",
            "is off: passwords and everything in the database cross the network unencrypted",
            "Set it to verify-full, and DATABASE_CA to the provider's certificate file.",
        )
    if not external:
        for key in sorted(key for key in values if key.startswith("DATABASE_") and key in BY_KEY):
            if values[key]:
                yield _warning(
                    reading, key, "is set, but DATABASE is not external", f"Set DATABASE=external, or remove {key}."
                )
    if values.get("SWARM") != "on":
        for key in ("SWARM_PLACEMENT", "SWARM_FILES", "SWARM_ENGINES"):
            if values.get(key):
                yield _warning(reading, key, "is set, but SWARM is not on", f"Set SWARM=on, or remove {key}.")
    if re.search(r"@(localhost|127\.\d+\.\d+\.\d+)(:|$)", values.get("MAILER_CONNECTION", "")):
        yield _warning(
            reading,
            "MAILER_CONNECTION",
            "points to core's own container, where there is no mail server: users cannot register or log in by mail",
            "Use a host name that containers can reach.",
        )


_REAL = Version(2, 0, 0)
_WITHOUT_RECAPTCHA = Version(2, 13, 9)
NO_RECAPTCHA = "is not set: before Graasp 2.13.9, users cannot log in or register without keys of Google's reCAPTCHA"
WITH_RECAPTCHA = (
    "Set it and RECAPTCHA_SITE_KEY, then build the client again (`graasp-local build`); or deploy 2.13.9 or newer."
)


def needs_recaptcha(version: Version, values: Mapping[str, str]) -> bool:
    """Whether this version of Graasp lets no user in with these settings."""
    has_key = values.get("RECAPTCHA_SECRET_ACCESS_KEY", "") not in ("", "unused")
    return _REAL <= version < _WITHOUT_RECAPTCHA and not has_key


def _unknown_keys(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    known = {key for key in (*BY_KEY, *surroundings.variables) if not is_own(key)}
    for key in reading.values:
        if is_own(key):
            yield _warning(reading, key, "is set by graasp-local itself", f"Remove the line with {key}.")
        elif key not in known and not key.startswith(_COMPOSES_OWN):
            said = f"is not a setting, and no compose file uses it{_near(key, known)}"
            yield _warning(reading, key, said, "Correct its name, or remove the line.")


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
                f"is the same secret as {first[value]}: whoever learns one has both",
                f"`graasp-local secrets rotate {setting.key}` makes a new one.",
            )
        first.setdefault(value, setting.key)


def _unused_storage(reading: Reading) -> Iterator[Problem]:
    for kind, keys in S3_KEYS.items():
        for key in keys:
            if reading.values.get(key) and reading.values.get(kind) != "s3":
                yield _warning(reading, key, f"is set, but {kind} is not s3", f"Set {kind} to s3, or remove {key}.")


def _near(name: str, known: set[str] | frozenset[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def _quoted(text: str) -> str:
    return f"{text[:40]!r}"


def _warning(reading: Reading, key: str, said: str, fix: str) -> Problem:
    return Problem(Severity.WARNING, key, reading.lines.get(key), said, fix)
