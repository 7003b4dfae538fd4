"""What every verb needs: the site, the world around it, and its output. stdout is data, stderr is narration."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.clock import InterruptionFlag
    from graasp_local.engine.nginx.prober import Change, EdgeProber
    from graasp_local.engine.site.docker_engine import DockerEngine
    from graasp_local.ports.world import World
    from graasp_local.postgres.address import Address
    from graasp_local.site.site import Site


class Context:
    """Built once per call; everything in it is created on first use, so that a verb only pays for what it uses."""

    def __init__(self, named_site: Path | None) -> None:
        self.named_site = named_site

    @cached_property
    def site(self) -> Site:
        """Raises ConfigurationError if there is none. Says so, once, if it belongs to another user."""
        from graasp_local.errors import ConfigurationError
        from graasp_local.files import current_directory
        from graasp_local.site.site import find_site

        here = current_directory()
        if here is None and self.named_site is None:
            raise ConfigurationError(
                "The directory that this command was started in was removed.",
                "Nothing was changed.",
                "Change to the site's directory, or pass it with --site.",
            )
        site = find_site(self.named_site, here or Path("/"))
        owner = site.foreign_owner()
        if owner is not None:
            _warn_of_owner(site, owner)
        return site

    def refuse_if_not_ours(self) -> None:
        """Call before any change. Raises Refused if anyone other than this user or root could change the site."""
        from graasp_local.site.prepare import refuse_if_not_ours

        refuse_if_not_ours(self.site)

    def forget_site(self) -> None:
        """Read the site's settings again on next use: they have changed."""
        self.__dict__.pop("site", None)

    def engine(self, narrate: Callable[[str], None] = lambda _: None) -> DockerEngine:
        from graasp_local.engine.site.docker_engine import engine_for

        return engine_for(self.site, narrate)

    def world(self, interruption: InterruptionFlag, narrate: Callable[[str], None] = lambda _: None) -> World:
        return self._world_of(self.site, interruption, narrate)

    def _world_of(self, site: Site, interruption: InterruptionFlag, narrate: Callable[[str], None]) -> World:
        from graasp_local.clock import SystemClock
        from graasp_local.engine.data.servers import DockerServers
        from graasp_local.engine.data.transfers import DockerTransfers
        from graasp_local.engine.nginx.edge import HttpEdge
        from graasp_local.engine.nginx.old_connections import DockerOldConnections
        from graasp_local.engine.site.docker_engine import engine_for
        from graasp_local.engine.site.handover import DockerHandovers
        from graasp_local.ports.servers import Servers
        from graasp_local.ports.world import World
        from graasp_local.postgres.address import once_it_answers
        from graasp_local.postgres.database import PostgresDatabase
        from graasp_local.postgres.databases import PostgresDatabases
        from graasp_local.postgres.server import PostgresServer

        settings = site.settings
        engine = engine_for(site, narrate)
        containers = DockerServers(site, engine)
        clock = SystemClock()
        address = once_it_answers(engine.database_address, clock)
        world = World(
            site=site,
            engine=engine,
            edge=HttpEdge(settings),
            database=PostgresDatabase(address, settings.postgres_password),
            servers=Servers(
                containers,
                old=PostgresServer(address, settings.postgres_password),
                new=PostgresServer(containers.new_address, settings.postgres_password),
                filling=PostgresDatabases(containers.new_address, settings.postgres_password),
            ),
            clock=clock,
            interruption=interruption,
            databases=PostgresDatabases(address, settings.postgres_password),
            transfers=DockerTransfers(site, engine, narrate),
            handovers=DockerHandovers(site, engine),
            old_connections=DockerOldConnections(engine),
            prober=self.prober,
            with_site=lambda other: self._world_of(other, interruption, narrate),
        )
        if settings.external_database is not None:
            return _on_external_server(world, engine, narrate)
        return world if settings.swarm is None else _on_several_machines(world, address)

    def prober(self, on_change: Callable[[Change], None] = lambda _: None) -> EdgeProber:
        from graasp_local.engine.nginx.edge import HttpEdge
        from graasp_local.engine.nginx.prober import EdgeProber

        return EdgeProber(HttpEdge(self.site.settings), on_change)


def _on_external_server(world: World, engine: DockerEngine, narrate: Callable[[str], None]) -> World:
    """The same world, with its databases on the server that the site's settings name."""
    from msgspec.structs import replace

    from graasp_local.engine.data.external_transfers import ExternalTransfers
    from graasp_local.postgres.external import ExternalDatabase, ExternalDatabases
    from graasp_local.postgres.external_server import ExternalConnections
    from graasp_local.stack.external import migration_password

    settings = world.site.settings
    server = settings.external_database
    if server is None:
        return world
    connections = ExternalConnections(server)
    passwords = settings.owner_passwords
    migration = migration_password(passwords["graasp"])
    return replace(
        world,
        database=ExternalDatabase(connections, passwords, migration),
        databases=ExternalDatabases(connections, passwords),
        transfers=ExternalTransfers(world.site, engine, narrate, server, connections.address),
    )


def _on_several_machines(world: World, address: Address) -> World:
    """The same world, with a database that shuts out what other machines may still run."""
    from msgspec.structs import replace

    from graasp_local.postgres.several_machines import DatabaseForSeveral
    from graasp_local.stack.external import migration_password

    settings = world.site.settings
    migration = migration_password(settings.owner_passwords["graasp"])
    return replace(world, database=DatabaseForSeveral(address, settings.postgres_password, migration))


_WARNED_OF: set[Path] = set()


def _warn_of_owner(site: Site, owner: str) -> None:
    if site.directory not in _WARNED_OF:
        _WARNED_OF.add(site.directory)
        say(f"The site in {site.directory} belongs to {owner}, who decides what runs there.", err=True)


pass_context = click.make_pass_decorator(Context)


def narrate_command(command: str) -> None:
    """Show a command before it runs, so that a person can repeat it. It is run even if the reader has left."""
    try:
        say(f"      $ {command}", err=True, dim=True)
    except OSError:
        silence_output()


def silence_output() -> None:
    """Discard all further output, because its reader has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def print_json(value: object) -> None:
    """One JSON object on one line of stdout."""
    import json

    click.echo(json.dumps(value))
