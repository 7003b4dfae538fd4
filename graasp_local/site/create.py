"""Creates a new site: its directory, and a `.env` with generated secrets and a comment for every key. Also adds what a
newer graasp-local needs to the `.env` of an existing site.

Refuses to overwrite: an existing site keeps its secrets.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from graasp_local import __version__
from graasp_local.errors import ConfigurationError
from graasp_local.files import write_atomically
from graasp_local.settings import ALL, OPTIONS, SETTINGS, Option, Setting
from graasp_local.settings.rules import errors, read
from graasp_local.site import prepare
from graasp_local.site.ownership import refuse_strangers
from graasp_local.site.site import Site
from graasp_local.stack.services import stack_directory

DEMO_SETTINGS: Mapping[str, str] = {
    "GRAASP_REPOSITORY": "localhost/graasp-demo/graasp",
    "DB_IMAGE": "localhost/graasp-demo/postgres:15",
    "UMAMI_IMAGE": "localhost/graasp-demo/umami:3",
    "REDIS_IMAGE": "localhost/graasp-demo/redis:7",
    "NGINX_IMAGE": "localhost/graasp-demo/nginx:1.22",
    "MEILISEARCH_IMAGE": "localhost/graasp-demo/meilisearch:1",
    "ETHERPAD_IMAGE": "localhost/graasp-demo/etherpad:1",
    "IFRAMELY_IMAGE": "localhost/graasp-demo/iframely:1",
    "FILES_IMAGE": "localhost/graasp-demo/static-web-server:1",
    "MAILPIT_IMAGE": "localhost/graasp-demo/mailpit:1",
    "NUDENET_IMAGE": "localhost/graasp-demo/nudenet:1",
    "ADMIN_IMAGE": "localhost/graasp-demo/admin:1",
}
"""The settings of a demo site: the images that scripts/build-demo-images builds, and only what has to run."""

REAL_SETTINGS: Mapping[str, str] = {"COMPOSE_PROFILES": "etherpad,files,iframely"}
"""The settings of any other site: what makes a complete Graasp. The client has to be built first."""


_GIVEN_BY: Mapping[str, str] = {
    "COMPOSE_PROJECT_NAME": "--project",
    "PUBLIC_URL": "--url",
    "COOKIE_DOMAIN": "--url",
    "UMAMI_HOST": "--url",
    "HTTP_BIND": "--bind",
    "HTTP_PORT": "--port",
    "HTTPS_PORT": "--url",
    "MAILER_CONNECTION": "--mail or $MAILER_CONNECTION",
    "TLS_CERTIFICATE": "--certificate",
    "TLS_KEY": "--certificate-key",
}
"""The option of `init` that a setting is made from."""


def default_project_name(directory: Path) -> str:
    """A Compose project name made from the directory's name."""
    name = re.sub(r"[^a-z0-9_-]+", "-", directory.name.lower()).strip("-_")
    return name[:41] or "graasp"


def environment_text(chosen: Mapping[str, str]) -> str:
    """The text of a new `.env`: every setting with its comment, generated secrets, and what was chosen."""
    parts = [
        "# Settings of this Graasp site, for graasp-local and Docker Compose; every command checks them.\n"
        "# Keep a copy elsewhere: this file has every password and key of the site. Keep it private (mode 0600).\n"
        f"# Made by graasp-local {__version__}\n"
    ]
    parts += [_written(setting, chosen.get(setting.key, "")) for setting in SETTINGS]
    parts.append("# --- optional: remove the # before a key to set it ---\n")
    parts += [f"# {option.comment}\n{_optional_line(option, chosen)}\n" for option in OPTIONS]
    known = {item.key for item in ALL}
    parts += [f"{key}={value}\n" for key, value in chosen.items() if key not in known]
    return "\n".join(parts)


def _written(setting: Setting, value: str = "") -> str:
    return f"# {setting.comment}\n{setting.key}={value or setting.default()}\n"


def add_missing(site: Site) -> tuple[str, ...]:
    """Add to `.env` what a newer graasp-local needs and can generate. Returns the keys.

    What only a person can know is left out; `config check` names it. Existing lines are not changed.
    """
    text = site.read_env()
    there = read(text).lines
    missing = [s for s in SETTINGS if s.required and s.is_generated and s.key not in there]
    if missing:
        added = "\n".join(_written(setting) for setting in missing)
        told = f"# Added by graasp-local {__version__}\n"
        write_atomically(site.env_file, f"{text.rstrip()}\n\n{told}{added}", mode=0o600)
    return tuple(setting.key for setting in missing)


def newer_maker(environment: str, own: str = __version__) -> str | None:
    """The newest graasp-local that wrote to this `.env`, according to it, if that is newer than this one. Pure."""
    makers = re.findall(r"^# (?:Made|Added) by graasp-local (\d\S*)$", environment, re.MULTILINE)
    newest = max(makers, key=_numbers, default=own)
    return newest if _numbers(newest) > _numbers(own) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _optional_line(option: Option, chosen: Mapping[str, str]) -> str:
    if option.key in chosen:
        return f"{option.key}={chosen[option.key]}"
    return f"#{option.key}={option.default}"


def refuse_existing(site: Site) -> None:
    """Raises ConfigurationError if there is a site already."""
    if site.env_file.exists():
        raise ConfigurationError(
            f"{site.env_file} exists already.",
            "It was not changed: its passwords belong to the site's database.",
            "Edit it by hand, or choose another directory.",
        )


def _refuse_unusable(text: str) -> None:
    """Raises ConfigurationError for a value that `.env` must not have. It has not been written, so no file is named."""
    found = next(errors(read(text)), None)
    if found is not None:
        option = _GIVEN_BY.get(found.key)
        raise ConfigurationError(
            f"{found.key} {found.said}.",
            "No site was created.",
            f"Pass another {option}." if option else f"Choose another value for {found.key}.",
        )


def init_site(directory: Path, chosen: Mapping[str, str], demo: bool) -> Site:
    """Make `directory` a site, or leave nothing behind. Raises ConfigurationError for an existing site or a bad value.

    If interrupted, it removes what it has created.
    """
    site = Site(directory.resolve())
    refuse_existing(site)
    prepare.refuse_unusable_name(site.directory)
    refuse_strangers(site.strangers())
    text = environment_text({**(DEMO_SETTINGS if demo else REAL_SETTINGS), **chosen})
    _refuse_unusable(text)
    missing = [parent for parent in (site.directory, *site.directory.parents) if not parent.exists()]
    with ExitStack() as undo:
        for parent in reversed(missing):  # removed last, deepest first, and only if nothing else is in them
            undo.callback(_remove_empty, parent)
        for parent in reversed(missing):
            parent.mkdir(mode=0o755, exist_ok=True)  # not writable by others, whatever the umask
        # Exclusive creation with the final mode: never overwritten, never readable by others, not even for a moment.
        descriptor = os.open(site.env_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        undo.callback(site.env_file.unlink, missing_ok=True)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        if demo and not site.override_file.exists():
            undo.callback(site.override_file.unlink, missing_ok=True)
            content = (stack_directory() / "compose" / "demo.override.yaml").read_text()
            write_atomically(site.override_file, content, mode=0o644)
        for made in (site.own_directory, site.journal_directory):
            if not made.exists():
                undo.callback(shutil.rmtree, made, ignore_errors=True)
        prepare.prepare(site)
        undo.pop_all()
    return site


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()
