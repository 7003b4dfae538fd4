"""What each way of reducing downtime saves, compared with Compose behind the closed gate, measured alternately."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench_site import AFTER, SERVICES, BenchSite
from measuring import Row, alternately

from graasp_local.engine.containers.services import SERVICE_LABEL
from graasp_local.engine.images.migrations import ImageMigrations
from graasp_local.engine.nginx.tcp_table import table_by_command
from graasp_local.engine.site.docker_engine import DockerEngine, engine_for

_POLL_SECONDS = 0.03
"""How often an operation checks whether services are on, and whether a migration has ended."""
_AS_BEFORE = ("--detach", "--no-deps", "--force-recreate")
_ASKS_EACH_SECOND = {
    "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/health"],
    "start_interval": "1s",
}


def shortcut_rows(site: BenchSite, rounds: int) -> Iterator[Row]:
    site.restore_rows()
    engine = engine_for(site.site)
    yield from _stops(site, engine, rounds)
    yield from _starts(site, engine, rounds)
    yield from _drains(engine, rounds)
    site.run("apply", "db-only")
    yield from _migrations(site, engine, rounds)
    yield from _proofs(engine, rounds)


def _stops(site: BenchSite, engine: DockerEngine, rounds: int) -> Iterator[Row]:
    def stop(by: Callable[[], None]) -> Callable[[], float]:
        def measured() -> float:
            engine.start_made(SERVICES)
            _wait_until_on(engine)
            return _seconds(by)

        return measured

    sides = {"api": stop(lambda: engine.stop(SERVICES)), "compose": stop(lambda: site.compose("stop", *SERVICES))}
    figures = alternately(sides, rounds)
    yield Row("stopping the services", figures["api"], "docker compose stop", figures["compose"])


def _starts(site: BenchSite, engine: DockerEngine, rounds: int) -> Iterator[Row]:
    def made_before() -> float:
        engine.stop(SERVICES)
        site.compose("up", "--no-start", "--no-deps", "--force-recreate", *SERVICES)
        return _seconds(lambda: engine.start_made(SERVICES), lambda: _wait_until_on(engine))

    def made_then() -> float:
        engine.stop(SERVICES)
        return _seconds(lambda: site.compose("up", *_AS_BEFORE, *SERVICES), lambda: _wait_until_on(engine))

    def by_compose() -> float:
        engine.stop(SERVICES)
        return _seconds(lambda: site.compose("up", *_AS_BEFORE, "--wait", *SERVICES))

    def asked_each_second() -> float:
        with site.core_checked_by(_ASKS_EACH_SECOND):
            return made_before()

    sides = {"made": made_before, "then": made_then, "compose": by_compose, "asked": asked_each_second}
    figures = alternately(sides, rounds)
    yield Row("starting containers created before", figures["made"], "docker compose up", figures["then"])
    yield Row(
        "starting, health check waits for core", figures["made"], "health check asks once a second", figures["asked"]
    )
    yield Row("docker compose up, asking every 30 ms", figures["then"], "docker compose up --wait", figures["compose"])


def _drains(engine: DockerEngine, rounds: int) -> Iterator[Row]:
    nginx = next(c["Id"] for c in engine.containers() if c["Labels"].get(SERVICE_LABEL) == "nginx")

    def by_command() -> float:
        return _seconds(lambda: table_by_command(engine.client, nginx))

    figures = alternately({"proc": lambda: _seconds(engine.nginx_connections), "command": by_command}, rounds)
    yield Row("nginx's connections, from /proc", figures["proc"], "with a command in the container", figures["command"])


def _migrations(site: BenchSite, engine: DockerEngine, rounds: int) -> Iterator[Row]:
    def made_before() -> float:
        engine.make_migration(AFTER)
        return _seconds(lambda: _migrate(engine))

    def by_compose() -> float:
        run = ("run", "--rm", "--no-deps", "migrate")
        return _seconds(lambda: site.compose(*run, version=AFTER))

    made_before()  # pending migrations run once; from here on both sides find nothing to do
    figures = alternately({"made": made_before, "compose": by_compose}, rounds)
    yield Row("a migrate container created before", figures["made"], "docker compose run migrate", figures["compose"])


def _proofs(engine: DockerEngine, rounds: int) -> Iterator[Row]:
    image, known = engine.images_of(AFTER)["migrate"], ImageMigrations()
    known.of(engine.client, image)
    sides = {
        "kept": lambda: _seconds(lambda: known.of(engine.client, image)),
        "again": lambda: _seconds(lambda: ImageMigrations().of(engine.client, image)),
    }
    figures = alternately(sides, rounds)
    yield Row("an image's migrations, remembered", figures["kept"], "read from the image again", figures["again"])


def _seconds(*doings: Callable[[], object]) -> float:
    began = time.perf_counter()
    for do in doings:
        do()
    return time.perf_counter() - began


def _wait_until_on(engine: DockerEngine) -> None:
    while not all(service.is_on for service in engine.observe().services if service.name in SERVICES):
        time.sleep(_POLL_SECONDS)


def _migrate(engine: DockerEngine) -> None:
    run = engine.start_migration(AFTER)
    while (code := run.exit_code()) is None:
        time.sleep(_POLL_SECONDS)
    if code:
        raise SystemExit(f"The migrate container ended with {code}:\n" + "\n".join(run.output()))
    run.remove()
