"""A Postgres server started apart from any stack, as a provider would run it: TLS, and a role that is no superuser."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psycopg
import yaml

from graasp_local.testing.ports import free_port
from tests.integration import with_names
from tests.integration.authority import Files, self_signed
from tests.integration.demo_site import DemoSite, wait_for

HOST = "pg.provider.test"
USER = "managed"
PASSWORD = "it's a pass word#1"
_IMAGE = "localhost/graasp-demo/postgres:15"
_SUPERUSERS = secrets.token_hex(12)

_AS_A_PROVIDER = f"""
CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD.replace("'", "''")}';
CREATE DATABASE other_app;
REVOKE CONNECT ON DATABASE other_app FROM PUBLIC;
"""

_WITH_TLS = """
install --owner=postgres --mode=0600 /tls/fullchain.pem /var/lib/postgresql/server.crt
install --owner=postgres --mode=0600 /tls/privkey.pem /var/lib/postgresql/server.key
sed -i 's/^host all all all/hostssl all all all/' "$PGDATA/pg_hba.conf"
"""


@dataclass(frozen=True)
class ExternalServer:
    """`address` is one of this machine that containers reach too; `certificates` are what its own is checked with."""

    container: str
    address: str
    port: int
    certificates: Path

    def ask(self, statement: str, database: str = "postgres", user: str = "", password: str = "") -> list[Any]:
        """Run a statement, as superuser unless a user is given, and return the rows."""
        with psycopg.connect(
            host=HOST,
            hostaddr=self.address,
            port=self.port,
            user=user or "postgres",
            password=password if user else _SUPERUSERS,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self.certificates),
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server(directory: Path, docker_host: str = "", address: str = "") -> Iterator[ExternalServer]:
    """`docker_host` is the engine that it runs on, and `address` that engine's machine, unless they are this one's."""
    files = self_signed(directory / "tls", HOST)
    with closing(docker.from_env(environment={"DOCKER_HOST": docker_host} if docker_host else None)) as client:
        address = address or client.api.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]
        container = client.containers.run(
            _IMAGE,
            ["postgres"],
            detach=True,
            environment={"POSTGRES_PASSWORD": _SUPERUSERS},
            ports={"5432/tcp": (address, free_port())},
            volumes={str(files.certificate.parent): {"bind": "/tls", "mode": "ro"}},
        )
        try:
            yield _set_up(client, container, address, files)
        finally:
            container.remove(force=True, v=True)


def _set_up(client: docker.DockerClient, container: Any, address: str, files: Files) -> ExternalServer:
    ready = ["pg_isready", "--quiet", "--host=127.0.0.1"]
    wait_for(lambda: container.exec_run(ready).exit_code == 0, "the server accepts connections")
    found = client.api.inspect_container(container.id)["NetworkSettings"]["Ports"]["5432/tcp"]
    server = ExternalServer(container.id, address, int(found[0]["HostPort"]), files.certificate)
    script = (
        "set -e\n" + _WITH_TLS + "psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres "
        "--host=/var/run/postgresql <<'SQL'\n"
        "ALTER SYSTEM SET ssl_cert_file = '/var/lib/postgresql/server.crt';\n"
        "ALTER SYSTEM SET ssl_key_file = '/var/lib/postgresql/server.key';\n"
        "ALTER SYSTEM SET ssl = on;\nSELECT pg_reload_conf();\n" + _AS_A_PROVIDER + "SQL\n"
    )
    done = container.exec_run(["bash", "-c", script])
    assert done.exit_code == 0, done.output
    wait_for(lambda: _answers(server), "the server offers TLS")
    return server


def _answers(server: ExternalServer) -> bool:
    try:
        return bool(server.ask("SELECT 1"))
    except psycopg.OperationalError:
        return False


def where(server: ExternalServer) -> dict[str, str]:
    """What a site's `.env` says of the server."""
    return {
        "DATABASE": "external",
        "DATABASE_HOST": HOST,
        "DATABASE_PORT": str(server.port),
        "DATABASE_ADMIN_USER": USER,
        "DATABASE_ADMIN_PASSWORD": f'"{PASSWORD}"',
        "DATABASE_CA": str(server.certificates),
    }


def know_server(site: Path, server: ExternalServer) -> None:
    """Tell the services of the site in this directory where the server's name leads."""
    override = site / "compose.override.yaml"
    content = yaml.safe_load(override.read_text())
    for service in ("core", "workers", "migrate", "umami"):
        content["services"].setdefault(service, {})["extra_hosts"] = [f"{HOST}:{server.address}"]
    override.write_text(yaml.safe_dump(content))


class ExternalSite(DemoSite):
    """A demo site whose database is, or can be, on a server outside its stack."""

    server: ExternalServer

    def __init__(self, directory: Path, server: ExternalServer) -> None:
        super().__init__(directory, command=with_names.COMMAND)
        self.server = server
        self.environment["TEST_NAMES"] = f"{HOST}={server.address}"
        know_server(self.directory, server)
        self.be_external()

    def be_external(self, **settings: str) -> None:
        """Set the site's database to be on the server, with these settings instead of the right ones."""
        self.configure(**{**where(self.server), **settings})

    def items(self) -> tuple[int, str]:
        """The number of items, and a digest of all that is in them."""
        rows = self.server.ask(
            "SELECT count(*), coalesce(md5(string_agg(item::text, ',' ORDER BY item::text)), '') FROM item", "graasp"
        )
        return int(rows[0][0]), str(rows[0][1])
