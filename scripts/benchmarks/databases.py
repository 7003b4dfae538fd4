"""What the size of the database costs: a snapshot against a dump, swapping back, and each step of a deployment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from bench_site import AFTER, BenchSite
from measuring import Figure, Row, alternately

from graasp_local.engine.site.docker_engine import engine_for
from graasp_local.postgres.database import PostgresDatabase

_ROW_BYTES = 1000
_SNAPSHOT = "graasp_snapshot_bench"


def grow(site: BenchSite, megabytes: int) -> None:
    """Add text that does not compress well, and an index on it."""
    rows = megabytes * 1_000_000 // (_ROW_BYTES + 100)
    text = "string_agg(md5(random()::text || n || m), '')"
    site.sql(
        "CREATE TABLE IF NOT EXISTS bench_filler (id bigserial PRIMARY KEY, content text)",
        f"INSERT INTO bench_filler (content) SELECT (SELECT {text} FROM generate_series(1, {_ROW_BYTES // 32}) m) "
        f"FROM generate_series(1, {rows}) n",
        "CHECKPOINT",
        database="graasp",
    )


def size_of(site: BenchSite) -> str:
    """The size of Graasp's database as the tables show it, such as `1.1 GB`."""
    address, password = engine_for(site.site).database_address, site.site.settings.postgres_password
    return f"{PostgresDatabase(address, password).size_bytes() / 1e9:.1f} GB"


def database_rows(site: BenchSite, rounds: int) -> Iterator[Row]:
    settings = site.site.settings
    database = PostgresDatabase(engine_for(site.site).database_address, settings.postgres_password)
    size = size_of(site)
    site.run("apply", "db-only")

    def snapshot() -> float:
        database.end_other_sessions()
        began = time.perf_counter()
        database.take_snapshot(_SNAPSHOT)
        return time.perf_counter() - began

    def dump() -> float:
        in_server = ["docker", "exec", "-u", "postgres", f"{site.project}-db-1", "sh", "-c"]
        began = time.perf_counter()
        subprocess.run([*in_server, "pg_dump -Fc -Z1 graasp >/dev/null"], check=True, capture_output=True)
        return time.perf_counter() - began

    def swap_back() -> float:
        began = time.perf_counter()
        failed = database.swap_back(_SNAPSHOT)
        took = time.perf_counter() - began
        # Swap again, so that the next round has both databases.
        site.sql(
            f"ALTER DATABASE graasp RENAME TO {_SNAPSHOT}",
            f"ALTER DATABASE {failed} RENAME TO graasp",
        )
        return took

    figures = alternately({"snapshot": snapshot, "dump": dump}, rounds)
    yield Row(f"snapshot of {size}", figures["snapshot"], "pg_dump -Fc -Z1, output discarded", figures["dump"])
    swapped = alternately({"swap": swap_back}, rounds)["swap"]
    yield Row(f"swapping back {size}", swapped, "one second", Figure((1.0,)), "1")
    site.sql(f"DROP DATABASE {_SNAPSHOT} WITH (FORCE)")
    site.run("apply", "running")


def deployment_in_parts(site: BenchSite) -> list[tuple[str, float]]:
    """The steps of one deployment while the gate is closed, and their seconds."""
    ended = site.deploy(AFTER)
    names = [step["name"] for step in ended["steps"]]
    first, last = names.index("close-gate"), names.index("open-gate")
    return [(step["name"], step["seconds"]) for step in ended["steps"][first : last + 1]]
