"""The login for asking registries: the docker client's own configuration, and the credential helpers it names.

The SDK treats an unreadable file as no login at all, and gives no clear error for a missing helper. Both are reported
here first, with the file's name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graasp_local.errors import Refused
from graasp_local.images.pins import registry_of

_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


def configuration_file() -> Path:
    """Where the docker client keeps logins, whether the file exists or not."""
    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path("~/.docker").expanduser()) / "config.json"


def why_unusable(image: str) -> str:
    """Why this image's registry cannot be asked with this user's login, as the end of a sentence; empty if it can."""
    file = configuration_file()
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{file}, where docker keeps logins, cannot be read ({error.strerror})"
    except ValueError:
        return f"{file}, where docker keeps logins, is not valid JSON"
    helper, key = _helper(content, registry_of(image))
    program = f"docker-credential-{helper}"
    if helper and not shutil.which(program):
        return f"{file} names the credential helper {program} ({key}), which is not installed"
    return ""


@contextmanager
def login_for(image: str) -> Iterator[None]:
    """Context for asking the image's registry. Raises Refused, naming file and helper, if the login cannot be used."""
    from docker.errors import APIError, DockerException

    why = why_unusable(image)
    if why:
        raise _refusal(image, why)
    try:
        yield
    except APIError:
        raise
    except DockerException as error:  # the helper ran and failed
        raise _refusal(
            image, f"the credential helper that {configuration_file()} names did not return a login ({error})"
        ) from error


def refuse_odd_file() -> None:
    """Raises Refused for a configuration that would crash the SDK: valid JSON with the wrong content."""
    try:
        content = json.loads(configuration_file().read_text())
    except (OSError, ValueError):
        return  # the SDK continues without it; `login_for` reports it where a login is needed
    if not isinstance(content, dict):
        raise unusable_file("it is not the docker client's configuration")
    for key, kind in (("auths", dict), ("credHelpers", dict), ("credsStore", str)):
        if not isinstance(content.get(key) or kind(), kind):
            raise unusable_file(f"{key} in it has the wrong type")


def unusable_file(said: str) -> Refused:
    """The error for a configuration that the SDK rejects as a whole."""
    return Refused(
        f"{configuration_file()}, where docker keeps logins, cannot be used: {said}.",
        "Nothing was changed.",
        "Fix it, or move it away and log in again with `docker login`.",
    )


def _helper(content: dict[str, Any], registry: str) -> tuple[str, str]:
    """The credential helper for a registry, and the key that names it; both empty if there is none."""
    helpers = content.get("credHelpers")
    for name in (registry,) if registry not in ("", *_DOCKER_HUB) else _DOCKER_HUB:
        if isinstance(helpers, dict) and helpers.get(name):
            return str(helpers[name]), f"credHelpers, {name}"
    return (str(content["credsStore"]), "credsStore") if content.get("credsStore") else ("", "")


def _refusal(image: str, why: str) -> Refused:
    login = f"docker login {registry_of(image)}".strip()
    return Refused(
        f"The registry of {image} cannot be asked: {why}.",
        "",
        f"Install that helper, or remove it from {configuration_file()} and run `{login}`; then try again."
        if "credential helper" in why
        else f"Fix that file, or move it away and run `{login}`; then try again.",
    )
