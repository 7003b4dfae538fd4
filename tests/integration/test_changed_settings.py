"""What a changed `.env`, or an image that was built again, recreates: that, and nothing else."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import pytest
import yaml

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker

CORE = "localhost/graasp-demo/graasp:core-v1.0.0"
CLIENT = "localhost/graasp-demo/graasp:client-v1.0.0"


def built(name: str, *lines: str) -> str:
    """Build an image of this name, another one each time; returns its id."""
    source = "\n".join([*lines, f"LABEL build={uuid.uuid4().hex}", ""])
    docker("build", "--quiet", "--tag", name, "-", text=source)
    return docker("image", "inspect", "--format", "{{.Id}}", name)


@pytest.fixture
def client_image(site: DemoSite) -> Iterator[str]:
    """A client of the site's own, switched on after the site was deployed."""
    name = f"localhost/{site.project}:client"
    built(name, f"FROM {CLIENT}")
    profiles = site.setting("COMPOSE_PROFILES")
    site.configure(CLIENT_IMAGE=name, COMPOSE_PROFILES=",".join(filter(None, [profiles, "client"])))
    site.run("apply", "running")
    yield name
    site.configure(CLIENT_IMAGE="", COMPOSE_PROFILES=profiles)
    site.run("apply", "running")
    docker("rmi", "--force", name)


@pytest.fixture
def another_core(site: DemoSite) -> Iterator[str]:
    """Another image of the same core."""
    name = f"localhost/{site.project}:core"
    docker("build", "--quiet", "--tag", name, "-", text=f"FROM {CORE}\nLABEL another=yes\n")
    yield name
    docker("rmi", "--force", name)


def recreated(site: DemoSite, before: dict[str, str]) -> set[str]:
    return {name for name, found in site.containers().items() if before.get(name) != found["Id"]}


def ids(site: DemoSite) -> dict[str, str]:
    return {name: found["Id"] for name, found in site.containers().items()}


@pytest.mark.parametrize(
    ("changed", "services"),
    [
        ({"LOG_LEVEL": "debug"}, {"core", "workers"}),
        ({"MAINTENANCE_RETRY_AFTER": "61"}, {"nginx"}),
        ({"BACKUP_KEEP_COUNT": "9"}, set()),
        ({"FRAME_ANCESTORS": "https://moodle.school.example"}, {"nginx"}),
    ],
)
def test_a_changed_setting_recreates_only_the_services_that_use_it(
    site: DemoSite, changed: dict[str, str], services: set[str]
) -> None:
    before = ids(site)
    site.configure(**changed)
    assert (site.status()["state"] == "running") == (not services)
    site.run("apply", "running")
    assert recreated(site, before) == services
    assert site.status()["state"] == "running"


@pytest.mark.parametrize("service", ["db", "umami"])
def test_a_change_in_the_override_recreates_even_the_database(site: DemoSite, service: str) -> None:
    before = ids(site)
    (rows,) = site.database("graasp", "SELECT count(*) FROM drizzle.__drizzle_migrations")
    override = site.directory / "compose.override.yaml"
    original = override.read_text()
    content = yaml.safe_load(original)
    content["services"].setdefault(service, {})["mem_limit"] = "700m"
    override.write_text(yaml.safe_dump(content))
    try:
        assert f"{service} still runs with old settings" in site.run("status").stdout
        site.run("apply", "running")
        assert service in recreated(site, before)
        limit = docker("inspect", "--format", "{{.HostConfig.Memory}}", f"{site.project}-{service}-1")
        assert int(limit) == 700 * 1024**2
        assert site.database("graasp", "SELECT count(*) FROM drizzle.__drizzle_migrations") == [rows]
    finally:
        override.write_text(original)
        site.run("apply", "running")


def test_a_port_of_the_database_is_published_and_one_in_use_is_refused(site: DemoSite) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site.configure(DB_PORT=str(port))
        assert f"Port {port} (DB_PORT) is in use" in site.run("apply", "running", code=10).stderr
    before = ids(site)
    site.run("apply", "running")
    assert "db" in recreated(site, before)
    assert docker("port", f"{site.project}-db-1", "5432") == f"127.0.0.1:{port}"
    site.configure(DB_PORT="")
    site.run("apply", "running")
    assert docker("port", f"{site.project}-db-1", "5432") != f"127.0.0.1:{port}"


def test_core_is_recreated_from_the_image_that_env_names(site: DemoSite, another_core: str) -> None:
    before = ids(site)
    site.configure(CORE_IMAGE=another_core)
    site.run("apply", "running")
    assert recreated(site, before) == {"core"}
    image = docker("image", "inspect", "--format", "{{.Id}}", another_core)
    assert site.containers()["core"]["Image"] == image
    # And back, to what was deployed.
    site.configure(CORE_IMAGE="")
    site.run("apply", "running")
    assert site.containers()["core"]["Image"] == docker("image", "inspect", "--format", "{{.Id}}", CORE)


def test_an_image_without_nginx_is_refused_while_the_running_one_serves(site: DemoSite) -> None:
    usual = site.setting("NGINX_IMAGE")
    site.configure(NGINX_IMAGE=site.setting("REDIS_IMAGE"))
    assert "NGINX_IMAGE names an image that has no nginx" in site.run("apply", "running", code=10).stderr
    assert site.ask("/").status == 200
    site.configure(NGINX_IMAGE=usual)


def test_addresses_that_core_has_kept_are_forgotten_when_the_site_has_another(site: DemoSite) -> None:
    def redis(*words: str) -> str:
        return site.stack.exec("redis", ["redis-cli", *words]).output.decode().strip()

    redis("set", "file_service_url_caching:files/a", "http://localhost/files/a")
    redis("set", "something-else", "kept")
    site.configure(PUBLIC_URL=f"http://graasp.localhost:{site.port}", COOKIE_DOMAIN="graasp.localhost")
    assert "cleared the addresses" in site.run("apply", "running").stderr
    assert redis("keys", "*").split() == ["something-else"]


@pytest.mark.parametrize("words", [("apply", "running"), ("deploy", "--version", "1.0.0")])
def test_a_client_that_was_built_again_is_used(site: DemoSite, client_image: str, words: tuple[str, ...]) -> None:
    for _ in range(2):  # the first has no image selected yet that it could be compared with
        wanted, before = built(client_image, f"FROM {CLIENT}"), ids(site)
        assert "client" in site.run(*words, "--dry-run").stdout
        site.run(*words)
        assert site.containers()["client"]["Image"] == wanted
        assert words[0] != "apply" or recreated(site, before) == {"client"}
        assert "othing to do" in site.run(*words).stdout
    assert site.status()["state"] == "running"


def test_one_that_does_not_start_is_replaced_by_the_previous_one(site: DemoSite, client_image: str) -> None:
    good = site.containers()["client"]["Image"]
    built(client_image, f"FROM {CLIENT}", 'ENTRYPOINT ["false"]')
    site.run("apply", "running", code=20)
    assert site.containers()["client"]["Image"] == good
    assert site.status()["state"] == "running"
    assert site.ask("/").status == 200


def test_another_image_of_the_same_postgres_is_started_and_the_data_stays(site: DemoSite) -> None:
    name, usual = f"localhost/{site.project}:15-other", site.setting("DB_IMAGE")
    wanted = built(name, f"FROM {usual}")
    site.create_item("before the other image")
    before = ids(site)
    site.configure(DB_IMAGE=name)
    try:
        assert site.status()["state"] != "running"
        assert "tart db" in site.run("apply", "running", "--dry-run").stdout
        site.run("apply", "running")
        assert site.containers()["db"]["Image"] == wanted
        # umami, which was stopped with it, is started alone this time: to Compose that is another service.
        assert recreated(site, before) - {"umami"} == {"db"}
        assert "before the other image" in site.item_names()
    finally:
        site.configure(DB_IMAGE=usual)
        site.run("apply", "running")
        docker("rmi", "--force", name)
    assert site.status()["state"] == "running"


def test_a_tag_that_moved_is_used_once_the_site_was_stopped(site: DemoSite) -> None:
    """As docs/operate.md says: a running site is left alone, because its settings name the same image."""
    usual = {key: site.setting(key) for key in ("DB_IMAGE", "REDIS_IMAGE")}
    names = {key: f"localhost/{site.project}:15-moves-{key.lower()}" for key in usual}
    for key, name in names.items():
        docker("tag", usual[key], name)
    try:
        site.configure(**names)
        site.run("apply", "running")
        before = ids(site)
        moved = {key: built(name, f"FROM {usual[key]}") for key, name in names.items()}
        assert site.status()["state"] == "running"
        assert "othing to do" in site.run("apply", "running").stdout
        assert recreated(site, before) == set()
        site.run("apply", "stopped")
        site.run("apply", "running")
        now = site.containers()
        assert {"DB_IMAGE": now["db"]["Image"], "REDIS_IMAGE": now["redis"]["Image"]} == moved
    finally:
        site.configure(**usual)
        site.run("apply", "running")
        docker("rmi", "--force", *names.values())
    assert site.status()["state"] == "running"
