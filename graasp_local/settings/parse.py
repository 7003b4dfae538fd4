"""From the text of a `.env` to usable settings, or to an error that names line and key.

Reads no files: `site.py` passes in the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.settings.rules import ALL_ADDRESSES, errors, read
from graasp_local.settings.table import REPLICAS, SETTINGS, DatabasePassword


class Tls(StrEnum):
    """What terminates TLS: nothing here, nginx with the site's own files, or nginx with certificates from ACME."""

    OFF = "off"
    FILES = "files"
    ACME = "acme"


class ExternalServer(Struct, frozen=True):
    """A Postgres server outside the stack, and the role that graasp-local works with there.

    `ca` is the path of the certificates that its own is checked with; empty: nothing is encrypted.
    """

    host: str
    port: int
    user: str
    password: str
    ca: str

    def __repr__(self) -> str:
        return f"ExternalServer({self.where}, user={self.user!r})"  # never the password

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def ssl_mode(self) -> str:
        """In libpq's words, which node-postgres understands too."""
        return "verify-full" if self.ca else "disable"


class Swarm(Struct, frozen=True):
    """The site's core and workers run on the machines of a Docker Swarm.

    `placement` has Docker's own constraints, `engines` the addresses of engines that images are sent to.
    """

    placement: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    shares_files: bool = False
    """Uploaded files are in a volume that all machines have."""


class Settings(Struct, frozen=True):
    """A checked `.env`: every key in `values`, and properties for the few that graasp-local itself uses."""

    values: Mapping[str, str]

    @property
    def project(self) -> str:
        return self.values["COMPOSE_PROJECT_NAME"]

    @property
    def public_url(self) -> str:
        return self.values["PUBLIC_URL"]

    @property
    def umami_host(self) -> str:
        return self.values["UMAMI_HOST"]

    @property
    def bind(self) -> str:
        return self.values["HTTP_BIND"]

    @property
    def is_bound_to_all(self) -> bool:
        """Whether nginx listens on every address of the machine."""
        return self.bind in ALL_ADDRESSES

    @property
    def published_on(self) -> str:
        """`bind` as written before a port in a compose file: empty for all addresses of both families."""
        if self.bind == "::":
            return ""
        return f"[{self.bind}]" if ":" in self.bind else self.bind

    @property
    def port(self) -> int:
        return int(self.values["HTTP_PORT"])

    @property
    def tls(self) -> Tls:
        return Tls(self.values.get("TLS") or Tls.OFF)

    @property
    def https_port(self) -> int:
        return int(self.values.get("HTTPS_PORT") or 443)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of this machine that nginx uses."""
        return (self.port,) if self.tls is Tls.OFF else (self.port, self.https_port)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """The host names that the site's certificate must cover."""
        named = self.values.get("TLS_DOMAINS")
        if named:
            return tuple(named.lower().split(","))
        admin = (self.values.get("ADMIN_HOST") or "admin.localhost",) if "admin" in self.profiles else ()
        return tuple(name.lower() for name in (urlsplit(self.public_url).hostname or "", self.umami_host, *admin))

    @property
    def header_name(self) -> str:
        return self.values["MAINTENANCE_HEADER_NAME"]

    @property
    def header_secret(self) -> str:
        return self.values["MAINTENANCE_HEADER_SECRET"]

    @property
    def postgres_password(self) -> str:
        return self.values["POSTGRES_PASSWORD"]

    @property
    def external_database(self) -> ExternalServer | None:
        """The server that the site's databases are on, unless that is the stack's own."""
        values = self.values
        if values.get("DATABASE") != "external":
            return None
        return ExternalServer(
            values["DATABASE_HOST"],
            int(values.get("DATABASE_PORT") or 5432),
            values["DATABASE_ADMIN_USER"],
            values["DATABASE_ADMIN_PASSWORD"],
            "" if values.get("DATABASE_SSL") == "off" else values["DATABASE_CA"],
        )

    @property
    def owner_passwords(self) -> Mapping[str, str]:
        """The passwords of the databases' owners, by their name, which is also that of the database."""
        owned = (item for item in SETTINGS if isinstance(item.secret, DatabasePassword))
        return {
            item.secret.role: self.values[item.key]
            for item in owned
            if isinstance(item.secret, DatabasePassword) and item.secret.role != "postgres"
        }

    @property
    def copies_by_dump(self) -> bool:
        """Whether the copy before a migration is a file, whatever room the server has."""
        return self.external_database is not None and self.values.get("DATABASE_COPY") == "dump"

    @property
    def backup_keep_count(self) -> int:
        return int(self.values["BACKUP_KEEP_COUNT"])

    @property
    def backup_keep_days(self) -> int:
        return int(self.values["BACKUP_KEEP_DAYS"])

    @property
    def deploy_strategy(self) -> str:
        """A `plan.Strategy`: how a version takes over unless a command says otherwise."""
        return self.values["DEPLOY_STRATEGY"]

    @property
    def page_when_stopped(self) -> bool:
        """Whether nginx stays on in `stopped` to show the maintenance page."""
        return self.values["STOPPED_PAGE"] == "on"

    @property
    def replicas(self) -> Mapping[str, int]:
        """The number of containers of each service for which `.env` sets it."""
        return {service: int(self.values[key]) for service, key in REPLICAS.items() if self.values.get(key)}

    @property
    def swarm(self) -> Swarm | None:
        """How core and workers are spread over several machines; None if they run on this one."""
        if self.values.get("SWARM") != "on":
            return None
        placement, engines = (
            tuple(filter(None, self.values.get(key, "").split(","))) for key in ("SWARM_PLACEMENT", "SWARM_ENGINES")
        )
        return Swarm(placement, engines, self.values.get("SWARM_FILES") == "shared")

    @property
    def profiles(self) -> tuple[str, ...]:
        """Compose profiles enabled in `.env`."""
        return tuple(name for name in self.values.get("COMPOSE_PROFILES", "").split(",") if name)

    def __repr__(self) -> str:
        return f"Settings(project={self.project!r})"  # never the secrets


def parse_settings(text: str, where: str) -> Settings:
    """Read and check the text of a `.env`; `where` names the file in errors. Raises ConfigurationError.

    Only the first error is reported; `graasp-local config check` lists them all.
    """
    reading = read(text)
    found = list(errors(reading))
    if found:
        first, more = found[0], len(found) - 1
        hint = f" {more} more: `graasp-local config check` lists them." if more else ""
        raise ConfigurationError(first.sentence(where), "Nothing was changed.", first.remedy(where) + hint)
    values = dict(reading.values)
    for setting in SETTINGS:
        values[setting.key] = values.get(setting.key) or setting.default()
    return Settings(values)
