"""What an upgrade of Postgres must not lose, and how a test asks the engine and the database about it."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import pytest

from tests.integration.demo_site import DemoSite

ITEMS = "SELECT count(*), md5(string_agg(id::text || name || created_at, ',' ORDER BY id)) FROM item"
MIGRATIONS = "SELECT count(*), md5(string_agg(hash || created_at, ',' ORDER BY id)) FROM drizzle.__drizzle_migrations"
EVENTS = "SELECT count(*), max(id), md5(string_agg(id::text || at, ',' ORDER BY id)) FROM website_event"
SEQUENCES = "SELECT string_agg(sequencename || '=' || last_value, ',' ORDER BY sequencename) FROM pg_sequences"
FILL = """
INSERT INTO item (name) SELECT 'item ' || n FROM generate_series(1, 2000) n;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE note (id serial PRIMARY KEY, text citext, path ltree);
INSERT INTO note (text, path) SELECT 'Note ' || n, ('a.' || n)::ltree FROM generate_series(1, 50) n;
"""


@contextmanager
def filled_site(directory: Path, *newer: int) -> Iterator[DemoSite]:
    """Running 1.0.0 on Postgres 15, with rows of Graasp and of umami; `newer` majors have to have demo images."""
    with closing(docker.from_env()) as client:
        for number in newer:
            image = f"localhost/graasp-demo/postgres:{number}"
            assert client.images.list(image), "build it with scripts/build-demo-images --all"
    site = DemoSite(directory)
    try:
        site.deploy("1.0.0")
        sql(site, "graasp", f"SET ROLE graasp; {FILL}")
        send_events(site, 3)
        yield site
    finally:
        site.down()
        remove_volumes(site)


def sql(site: DemoSite, database: str, query: str) -> str:
    words = ("psql", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-qAtc", query)
    done = site.stack.exec("db", words)
    assert done.exit_code == 0, done.output.decode()
    return done.output.decode().strip()


def data(site: DemoSite) -> tuple[str, ...]:
    """Everything that must survive: Graasp's rows, umami's, the applied migrations, and where sequences stand."""
    return (
        sql(site, "graasp", ITEMS),
        sql(site, "graasp", "SELECT count(*), max(text), max(path::text) FROM note"),
        sql(site, "graasp", MIGRATIONS),
        sql(site, "umami", EVENTS),
        *(sql(site, database, SEQUENCES) for database in ("graasp", "umami")),
    )


def major(site: DemoSite) -> int:
    return int(sql(site, "postgres", "SHOW server_version_num")) // 10000


def volumes(site: DemoSite) -> set[str]:
    with closing(docker.from_env()) as client:
        found = client.api.volumes(filters={"label": f"com.docker.compose.project={site.project}"})["Volumes"] or []
        return {volume["Name"].removeprefix(f"{site.project}_") for volume in found if "db-data" in volume["Name"]}


def remove_volumes(site: DemoSite) -> None:
    """Those that `down` does not know of: the old one, and that of an attempt that was left unfinished."""
    with closing(docker.from_env()) as client:
        for name in volumes(site):
            client.api.remove_volume(f"{site.project}_{name}")


def new_servers(site: DemoSite) -> list[str]:
    with closing(docker.from_env()) as client:
        labels = [f"com.docker.compose.project={site.project}", "org.graasp.new-server"]
        return [str(c["Id"]) for c in client.api.containers(all=True, filters={"label": labels})]


def operation(site: DemoSite, *words: str, code: int = 0) -> dict[str, object]:
    last: dict[str, object] = json.loads(site.run(*words, code=code).stdout.splitlines()[-1])
    return last


def killed(site: DemoSite, at: str, *words: str) -> None:
    """Start an operation and kill its whole process group when a step begins, before or during its effect."""
    process = site.start(*words)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step-started" and event["name"] == at:
            os.killpg(process.pid, signal.SIGKILL)
            break
    else:
        pytest.fail(f"the operation ended before {at}")
    process.communicate(timeout=60)


def send_events(site: DemoSite, count: int) -> None:
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
        with closing(connection):
            connection.request("POST", "/api/send", body="{}", headers={"Host": "umami.localhost"})
            assert connection.getresponse().status == 200
