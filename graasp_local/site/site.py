"""A site: one installation of Graasp in one directory.

Knows where a site's files are, and reads its settings and what is selected; prepare.py writes.
Refuses to guess: a directory without `.env` is not a site.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.files import text_if_there
from graasp_local.images.pins import is_image_id, variable_of
from graasp_local.journal.history import History
from graasp_local.planning.server import DatabaseServer, first_volume
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings import OPTIONS, Settings, Tls, parse_settings
from graasp_local.settings.table import UMAMIS_OWN, WHERE_EXTERNAL
from graasp_local.site.ownership import Stranger, owner_among_others, strangers
from graasp_local.site.selection import IMAGE_KEY, VERSION_KEY, VOLUME_KEY, Selection, read_selection
from graasp_local.stack.cache import services_of
from graasp_local.stack.external import external_variables
from graasp_local.stack.inside import inside_variables
from graasp_local.stack.on_swarm import swarm_variables
from graasp_local.stack.services import ServiceDefinition, filled_in, mounts_digest, stack_directory
from graasp_local.version import Version

if TYPE_CHECKING:
    from graasp_local.tls.certificate import TlsPaths

SITE_VARIABLE = "GRAASP_LOCAL_SITE"


class Site(Struct, frozen=True, dict=True):
    """The paths and settings of one installation. Directory layout:

    .env                   the site's settings
    compose.override.yaml  optional: extra services, limits
    backups/               one directory per backup
    journal/               one file per operation
    .graasp-local/         ours: the stack's copy, the selected version, the lock
    """

    directory: Path
    kept: Path | None = None
    """Where settings and override are read from, if not from the site's own files: see proven.py."""
    with_copies: Path | None = None
    """The kept override if it is to be used with copies of files that it names."""

    @property
    def env_file(self) -> Path:
        return (self.kept or self.directory) / ".env"

    @property
    def override_file(self) -> Path:
        return self.with_copies or (self.kept or self.directory) / "compose.override.yaml"

    @property
    def proven_directory(self) -> Path:
        """The settings and the override with which the site was last known to work, and the files that it names."""
        return self.own_directory / "proven"

    @property
    def files_with_secrets(self) -> tuple[Path, ...]:
        """What only the owner may read, whether it exists or not."""
        return (self.env_file, self.old_env_file, self.own_directory)

    @property
    def trusted_parts(self) -> tuple[Path, ...]:
        """What only the owner may change, whether it exists or not: it says what is run, and what was."""
        own = (self.own_directory, self.journal_directory, self.directory / "backups", self.directory / "upgrades")
        return (self.env_file, self.old_env_file, self.override_file, *own)

    def strangers(self) -> tuple[Stranger, ...]:
        """What in the site, or above it, belongs to or could be changed by anyone other than this user or root."""
        return strangers(self.directory, self.trusted_parts)

    def foreign_owner(self, trusted: frozenset[int] | None = None) -> str | None:
        """The site's owner, if neither this user nor root; otherwise None. `trusted`: user ids to use instead."""
        return owner_among_others((self.directory, self.env_file, self.own_directory), trusted)

    @property
    def old_env_file(self) -> Path:
        """`.env` as it was before the last rotation of secrets."""
        return self.directory / ".env.old"

    @property
    def rotation_file(self) -> Path:
        """New secrets on their way into the database and `.env`; left behind only if that was cut off."""
        return self.own_directory / "rotation.env"

    @property
    def rotations_file(self) -> Path:
        """One JSON object per line for each rotation of secrets: when, and which keys."""
        return self.own_directory / "rotations.jsonl"

    @property
    def journal_directory(self) -> Path:
        return self.directory / "journal"

    @property
    def history(self) -> History:
        return History(self.journal_directory)

    @property
    def own_directory(self) -> Path:
        return self.directory / ".graasp-local"

    @property
    def lock_file(self) -> Path:
        return self.own_directory / "lock"

    @property
    def version_file(self) -> Path:
        """The env file that names the selected version and database server; read by Compose after `.env`."""
        return self.own_directory / "version.env"

    @property
    def deployments_file(self) -> Path:
        """One JSON object per line for each deployment that succeeded: version, digests, time."""
        return self.own_directory / "deployments.jsonl"

    @property
    def services_file(self) -> Path:
        """The services that the compose files defined when they were last read: a cache."""
        return (self.kept or self.own_directory) / "services.json"

    @property
    def upgrades_file(self) -> Path:
        """One JSON object per line for each upgrade of Postgres: from which major, image and volume to which."""
        return self.own_directory / "upgrades.jsonl"

    @property
    def addresses_file(self) -> Path:
        """The address of uploaded files that core was last started with; core caches such addresses in Redis."""
        return self.own_directory / "addresses"

    @property
    def secrets_directory(self) -> Path:
        """Secrets as files, for images that read them that way; written from `.env`."""
        return (self.kept or self.own_directory) / "secrets"

    @property
    def certificate_file(self) -> Path:
        """Certificate, chain and private key that nginx uses, in one file."""
        return self.own_directory / "tls" / "site.pem"

    @property
    def tls_paths(self) -> TlsPaths:
        from graasp_local.tls.certificate import TlsPaths

        return TlsPaths(self.certificate_file, self.own_directory / "acme-account.pem", self.challenge_directory)

    @property
    def renewals_file(self) -> Path:
        """The results of the last attempts to renew the certificate."""
        return self.own_directory / "renewals.json"

    @property
    def challenge_directory(self) -> Path:
        """Where nginx finds what a certificate authority asks for before it issues a certificate."""
        return self.own_directory / "acme-challenges"

    @property
    def stack_copy(self) -> Path:
        return self.own_directory / "stack"

    @property
    def compose_files(self) -> tuple[Path, ...]:
        """What Compose is given, from the site's copy of the stack. Raises ConfigurationError."""
        return self._files_of(self.stack_copy, self.settings)

    @cached_property
    def settings(self) -> Settings:
        """The settings in `.env`, checked. Raises ConfigurationError, naming line and key."""
        return parse_settings(self.read_env(), str(self.env_file))

    def read_env(self) -> str:
        """The text of `.env`. Raises ConfigurationError if it does not exist or cannot be read."""
        try:
            return self.env_file.read_text()
        except FileNotFoundError:
            raise ConfigurationError(
                f"{self.directory} is not a site: it has no .env.",
                "Nothing was changed.",
                "Create one with `graasp-local init`, or pass another directory with --site.",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{self.env_file} cannot be read: {error}.", "Nothing was changed.", "Fix the file and try again."
            ) from error

    @cached_property
    def settings_digests(self) -> Mapping[str, str]:
        """By service, a digest of its definition, the settings that it uses and the files mounted into it.

        Containers carry it, so that a change is noticed and only the affected ones are recreated. The database's covers
        only what the site's override says about it and its port, since its other settings apply only to an empty data
        directory; umami's also covers its own secrets. A new graasp-local restarts neither.
        """
        values = {**self.settings.values, **self.told_to_stack}
        return {service.name: self._digest_of(service, values) for service in self.services}

    def whole_digests(self, group: ServiceGroup) -> Mapping[str, str]:
        """The same for all services of a group, covering all that each is made from. Raises ConfigurationError."""
        values = {**self.settings.values, **self.told_to_stack}
        return {
            service.name: self._digest_of(service, values, whole=True)
            for service in self.services
            if service.group is group
        }

    def _digest_of(self, service: ServiceDefinition, values: Mapping[str, str], *, whole: bool = False) -> str:
        is_umami = service.group is ServiceGroup.ADMINISTRATION and "UMAMI_APP_SECRET" in service.variables
        is_database = service.group is ServiceGroup.DATABASE
        umamis = UMAMIS_OWN | WHERE_EXTERNAL if self.settings.external_database is not None else UMAMIS_OWN
        if whole or not (is_umami or is_database):
            counting: Collection[str] = service.variables
            made_from = service.digest.encode() + mounts_digest(service.mounts)
        else:
            counting = umamis if is_umami else [key for key in ("DB_PORT",) if values.get(key)]
            made_from = service.override.encode()
        used = [(key, values[key]) for key in sorted(counting) if key in values]
        digest = hashlib.sha256(json.dumps(used).encode())
        digest.update(made_from)
        return digest.hexdigest()[:16]

    @property
    def told_to_stack(self) -> Mapping[str, str]:
        """Variables that are derived from `.env` and that the compose files use as well."""
        settings = self.settings
        external = external_variables(settings.external_database, settings.values["GRAASP_DB_PASSWORD"])
        return {**inside_variables(settings.public_url, self.profiles), **external, **swarm_variables(settings)}

    @property
    def built_images(self) -> Mapping[str, str]:
        """By service, the id of the image in use if it was built or loaded here; others are known by digest."""
        pins = {key: image for key, image in self.selection.images_in_effect(self.named_images) if is_image_id(image)}
        variables = {variable_of(service.name): service.name for service in self.services}
        return {variables[key]: image for key, image in pins.items() if key in variables}

    @property
    def named_images(self) -> Mapping[str, str]:
        """By variable, the name of each service's image in `.env` and the compose files, for the selected version."""
        return self.images_named_for(self.selection.version)

    def images_named_for(self, version: Version | None) -> Mapping[str, str]:
        values = {**self.settings.values, VERSION_KEY: str(version or "")}
        return {variable_of(service.name): filled_in(service.image, values) for service in self.services}

    @property
    def stack_files(self) -> tuple[Path, ...]:
        """The compose files that graasp-local has now; `compose_files` are those that Compose was given last."""
        try:
            settings = self.settings
        except ConfigurationError:  # the files can still be looked at
            settings = None
        return self._files_of(stack_directory(), settings)

    def _files_of(self, stack: Path, settings: Settings | None) -> tuple[Path, ...]:
        names = ["compose.yaml"]
        if settings is not None and settings.tls is not Tls.OFF:
            names.append("tls.yaml")
        if settings is not None and settings.swarm is not None:
            names.append("swarm.yaml")
        if settings is not None and settings.external_database is not None:
            names.append("external.yaml")
        files = tuple(stack / "compose" / name for name in names)
        return (*files, self.override_file) if self.override_file.exists() else files

    @property
    def database_kind(self) -> str:
        """Which database a version is selected with, as the selection keeps it; empty for the stack's own."""
        return "external" if self.settings.external_database is not None else ""

    @cached_property
    def services(self) -> tuple[ServiceDefinition, ...]:
        """The services that the site's compose files define. Raises ConfigurationError."""
        return services_of(self.stack_files, self.profiles, self.services_file)

    @property
    def profiles(self) -> tuple[str, ...]:
        """The parts of the stack that are switched on: by `.env`, otherwise by the shell's environment."""
        return self.settings.profiles or tuple(filter(None, os.environ.get("COMPOSE_PROFILES", "").split(",")))

    @property
    def selection(self) -> Selection:
        """What services are started with, beyond what `.env` says."""
        return read_selection(text_if_there(self.version_file))

    @property
    def selected_version(self) -> Version | None:
        """The version that services are started with; None on a site that nothing was deployed to."""
        return self.selection.version

    @property
    def database_service(self) -> ServiceDefinition:
        """The service that is the database server. Raises ConfigurationError if an override removed it."""
        for service in self.services:
            if service.group is ServiceGroup.DATABASE:
                return service
        if self.settings.external_database is not None:
            raise ConfigurationError(
                "The database is external: it is not a service of the site.", "Nothing was changed."
            )
        raise ConfigurationError(
            "The site has no database: no service has the label org.graasp.group: database.",
            "Nothing was changed.",
            "Check what compose.override.yaml says about db.",
        )

    @property
    def tools_image(self) -> str:
        """The image whose pg_dump and pg_restore are used on an external database: that of the stack's own database."""
        return self.db_image or next(option.default for option in OPTIONS if option.key == "DB_IMAGE")

    @property
    def database_server(self) -> DatabaseServer:
        """The image and the volume that the database is started with. Raises ConfigurationError if it is external."""
        selection = self.selection
        selected = selection.image_in_effect(self.db_image)
        values = {**self.settings.values, IMAGE_KEY: selected, VOLUME_KEY: selection.volume}
        image = filled_in(self.database_service.image, values)
        return DatabaseServer(image, selection.volume or first_volume(self.settings.project))

    @property
    def db_image(self) -> str:
        """The current `DB_IMAGE` in `.env`; empty if it is not set."""
        return self.settings.values.get("DB_IMAGE", "")


def find_site(named: Path | None, start: Path, trusted: frozenset[int] | None = None) -> Site:
    """The site that was named, otherwise the nearest directory from `start` upwards that looks like one.

    Raises ConfigurationError if there is none, or if a site that was not named belongs to another user: below another
    user's directory, a command would otherwise carry out what that user has written there.
    """
    if named is not None:
        if not named.is_dir():
            raise ConfigurationError(
                f"{named} is not a directory.",
                "Nothing was changed.",
                f"Create a site there with `graasp-local init {named}`.",
            )
        return Site(named.resolve())
    for directory in (start, *start.parents):
        if (directory / ".env").is_file() and (directory / ".graasp-local").is_dir():
            site = Site(directory.resolve())
            _refuse_foreign(site, site.foreign_owner(trusted))
            return site
    raise ConfigurationError(
        f"There is no site in {start} or its parent directories.",
        "Nothing was changed.",
        f"Create one with `graasp-local init`, or pass one with --site or {SITE_VARIABLE}.",
    )


def _refuse_foreign(site: Site, owner: str | None) -> None:
    if owner is not None:
        raise ConfigurationError(
            f"The site in {site.directory} belongs to {owner}, so it is only used if you name it explicitly.",
            "Nothing was read from it, and nothing was changed.",
            f"If it is the site you mean, add --site {shlex.quote(str(site.directory))}.",
        )
