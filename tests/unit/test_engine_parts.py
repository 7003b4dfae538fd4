"""The pure parts of the engine package: listings, connection tables, archives, tags, tokens."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from graasp_local.engine.compose.verbs import compose_failed, without_inactive
from graasp_local.engine.containers.services import SERVICE_LABEL, observed
from graasp_local.engine.data.streams import answer_of, entries_of
from graasp_local.engine.images.migrations import migrations_in
from graasp_local.engine.images.registry import RegistryUnreachableError, repository_tags, split_repository
from graasp_local.engine.images.versions import complete_versions
from graasp_local.engine.nginx.connections import Connection, established, is_of_nginx, only, requests_in_flight
from graasp_local.engine.nginx.gate_flag import GATE_DIRECTORY, as_command, flag_archive, seal_archive
from graasp_local.engine.site.docker_engine import refusal_of_nginx
from graasp_local.engine.site.handover import DockerHandovers
from graasp_local.errors import NeedsYou
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate, Health, ServiceGroup, Status
from graasp_local.site.bypass import bypass_link, bypass_token
from graasp_local.stack.services import ServiceDefinition
from graasp_local.version import Version

if TYPE_CHECKING:
    from graasp_local.engine.site.docker_engine import DockerEngine
    from graasp_local.site.site import Site

DEFINED = (
    ServiceDefinition("db", ServiceGroup.DATABASE),
    ServiceDefinition("core", ServiceGroup.GRAASP),
    ServiceDefinition("migrate", ServiceGroup.MIGRATION),
)


def container(
    service: str, group: str, state: str = "running", status: str = "Up 2 minutes (healthy)"
) -> dict[str, Any]:
    return {
        "Names": [f"/site-{service}-1"],
        "Labels": {"org.graasp.group": group, "com.docker.compose.service": service, "org.graasp.version": "1.0.0"},
        "State": state,
        "Status": status,
        "Image": f"graasp:{service}",
    }


@pytest.mark.parametrize(
    ("text", "health"),
    [
        ("Up 2 minutes (healthy)", Health.HEALTHY),
        ("Up 2 minutes (unhealthy)", Health.UNHEALTHY),
        ("Up 2 seconds (health: starting)", Health.STARTING),
        ("Up 2 minutes", Health.NONE),
    ],
)
def test_health_is_read_from_the_listing(text: str, health: Health) -> None:
    (_, core) = observed([container("core", "graasp", status=text)], DEFINED, {}).services
    assert core.health is health


def test_a_defined_service_without_a_container_is_absent() -> None:
    assert [service.status for service in observed([], DEFINED, {}).services] == [Status.ABSENT, Status.ABSENT]


@pytest.mark.parametrize(("digest", "outdated"), [("now", False), ("before", True)])
def test_a_container_made_with_other_settings_is_outdated(digest: str, *, outdated: bool) -> None:
    core = container("core", "graasp")
    core["Labels"]["org.graasp.settings"] = digest
    assert observed([core], DEFINED, {"core": "now"}).services[1].outdated is outdated


@pytest.mark.parametrize(
    ("version", "image", "outdated"),
    [("1.0.0", "sha256:new", True), ("1.0.0", "sha256:old", False), ("0.9.0", "sha256:new", False)],
)
def test_a_container_of_the_selected_version_with_another_image_than_was_built_is_outdated(
    version: str, image: str, *, outdated: bool
) -> None:
    core = {**container("core", "graasp"), "ImageID": "sha256:old"}
    core["Labels"]["org.graasp.version"] = version
    assert observed([core], DEFINED, {}, built_images={"core": image}, version="1.0.0").services[1].outdated is outdated


@pytest.mark.parametrize(("made_in", "elsewhere"), [("/srv/site", False), ("/srv/before", True)])
def test_a_container_made_from_another_directory_is_outdated(made_in: str, *, elsewhere: bool) -> None:
    core = container("core", "graasp")
    core["Labels"]["com.docker.compose.project.working_dir"] = made_in
    found = observed([core], DEFINED, {"core": "now"}, "/srv/site").services[1]
    assert (found.outdated, found.made_elsewhere) == (elsewhere, elsewhere)


def test_a_running_migration_is_observed_and_an_ended_one_is_not() -> None:
    one_off = container("migrate", "migration")
    one_off["Labels"]["com.docker.compose.oneoff"] = "True"
    assert observed([one_off], DEFINED, {}).migrations == ("site-migrate-1",)
    assert observed([{**one_off, "State": "exited"}], DEFINED, {}).migrations == ()


def test_one_offs_of_other_services_do_not_count() -> None:
    shell = container("core", "graasp")
    shell["Labels"]["com.docker.compose.oneoff"] = "True"
    assert observed([shell], DEFINED, {}).services[1].status is Status.ABSENT


def test_of_several_containers_the_worst_counts() -> None:
    services = observed(
        [container("core", "graasp"), container("core", "graasp", "exited", "Exited (1)")],
        DEFINED,
        {},
    ).services
    assert services[1].status is Status.EXITED


def test_a_container_whose_service_is_no_longer_defined_still_counts() -> None:
    assert [s.name for s in observed([container("old", "graasp")], DEFINED, {}).services] == ["db", "core", "old"]


TCP_TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 060012AC:C001 050012AC:0BB8 01 00000000:00000000 00:00000000 00000000    33        0 2 1
   2: 060012AC:C002 050012AC:0BB8 01 00000000:00000000 02:000AFC80 00000000    33        0 3 1
   3: 060012AC:C003 050012AC:0BB8 06 00000000:00000000 03:00000000 00000000     0        0 0 1
   4: 060012AC:C004 070012AC:0BB8 01 00000000:00000000 00:00000000 00000000    33        0 4 1
   5: 0100007F:C005 0100007F:1F91 01 00000000:00000000 00:00000000 00000000    33        0 5 1
"""
CORE = [("172.18.0.5", 3000)]


def test_connections_are_read_with_both_ends() -> None:
    rows = [
        "0: 0200A8C0:A1B2 050012AC:0BB8 01 0:0",
        "1: 0100007F:1F91 0100007F:C001 01 0:0",
        "2: 00000000:0050 00000000:0000 0A 0:0",
    ]
    assert established("\n".join(["header", *rows])) == {
        Connection(("192.168.0.2", 0xA1B2), ("172.18.0.5", 3000)),
        Connection(("127.0.0.1", 8081), ("127.0.0.1", 0xC001)),
    }


def test_a_table_may_be_cut_down_to_the_connections_from_before() -> None:
    rows = [f"{number}: 0200A8C0:A1B{number} 050012AC:0BB8 01 0:0 00:0" for number in range(3)]
    table = "\n".join(["header", *rows])
    before = {Connection(("192.168.0.2", 0xA1B1), ("172.18.0.5", 3000))}
    assert established(only(table, before)) == before
    assert requests_in_flight(only(table, before), [("172.18.0.5", 3000)]) == 1


def test_requests_are_connections_to_core_less_the_websockets() -> None:
    # Two established to core at 172.18.0.5, one of them a websocket; one is closing; one goes to umami.
    assert requests_in_flight(TCP_TABLE, CORE) == 1


def test_a_hop_without_a_websocket_behind_it_hides_no_request() -> None:
    health_checks = "".join(
        f"   {n}: 0100007F:D00{n} 0100007F:1F91 01 00000000:00000000 00:00000000 00000000    33        0 6 1\n"
        for n in range(6, 10)
    )
    assert requests_in_flight(TCP_TABLE + health_checks, CORE) == 1


def test_a_request_on_its_way_to_core_is_in_flight() -> None:
    connecting = "   6: 060012AC:C006 050012AC:0BB8 02 00000000:00000000 01:00000064 00000000    33        0 6 1\n"
    assert requests_in_flight(TCP_TABLE + connecting, CORE) == 2


def test_a_websocket_that_has_just_sent_something_is_none() -> None:
    sending = TCP_TABLE.replace("02:000AFC80", "01:00000014")
    assert requests_in_flight(sending, CORE) == 1


def test_a_table_without_a_listener_says_nothing() -> None:
    assert is_of_nginx(TCP_TABLE)
    assert not is_of_nginx("")
    assert not is_of_nginx("OCI runtime exec failed: exec failed: unable to start container process")


def test_nothing_is_in_flight_to_a_core_that_is_elsewhere() -> None:
    assert requests_in_flight(TCP_TABLE, [("172.18.0.9", 3000)]) == 0


@pytest.mark.parametrize(
    ("state", "address", "table", "in_flight"),
    [
        ("running", "172.18.0.5", TCP_TABLE, 1),
        ("running", "", TCP_TABLE, None),  # unknown: it is not taken for idle
        ("running", "172.18.0.5", "OCI runtime exec failed", None),
        ("exited", "", TCP_TABLE, 0),
    ],
)
def test_a_core_whose_requests_are_unknown_is_not_taken_for_idle(
    state: str, address: str, table: str, in_flight: int | None
) -> None:
    class Engine:
        def containers(self) -> list[dict[str, object]]:
            networks = {"Networks": {"back": {"IPAddress": address}}}
            return [{"State": state, "Labels": {SERVICE_LABEL: "core"}, "NetworkSettings": networks}]

        def nginx_connections(self) -> str:
            return table

    handovers = DockerHandovers(cast("Site", None), cast("DockerEngine", Engine()))
    assert handovers.requests_in_flight(Side.SERVICES) == in_flight


@pytest.mark.parametrize("gate", [Gate.OPEN, Gate.CLOSED, Gate.SEALED])
def test_only_a_regular_file_opens_the_gate(gate: Gate) -> None:
    with tarfile.open(fileobj=io.BytesIO(flag_archive(gate))) as archive:
        opening, shutting, leading = archive.getmembers()
    assert (opening.name, opening.isreg()) == ("open", gate is Gate.OPEN)
    assert (shutting.name, shutting.isreg()) == ("shut", gate is Gate.SEALED)
    assert (leading.name, leading.isreg()) == ("handover", False)
    with tarfile.open(fileobj=io.BytesIO(seal_archive())) as archive:
        (shut,) = archive.getmembers()
    assert (shut.name, shut.isreg()) == ("shut", True)


@pytest.mark.parametrize("archive", [*map(flag_archive, (Gate.OPEN, Gate.CLOSED, Gate.SEALED)), seal_archive()])
def test_the_gates_files_can_be_written_by_a_shell_too(tmp_path: Path, archive: bytes) -> None:
    for directory in ("unpacked", "written"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "open").touch()
        (tmp_path / directory / "shut").symlink_to("away")
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            (tmp_path / "unpacked" / member.name).unlink(missing_ok=True)
        members.extractall(tmp_path / "unpacked", filter="data")
    command = as_command(archive).replace(GATE_DIRECTORY, str(tmp_path / "written"))
    subprocess.run(["sh", "-c", command], check=True)

    def flags(directory: str) -> dict[str, bool]:
        return {file.name: file.is_symlink() for file in (tmp_path / directory).iterdir()}

    assert flags("written") == flags("unpacked")


def test_migrations_are_read_in_the_journals_order_with_the_hash_of_their_sql() -> None:
    buffer = io.BytesIO()
    journal = {"entries": [{"tag": "0000_a", "when": 5}, {"tag": "0001_b", "when": 7}]}
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {
            "drizzle/meta/_journal.json": json.dumps(journal),
            "drizzle/0001_b.sql": "B",
            "drizzle/0000_a.sql": "A",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    first, second = migrations_in(buffer.getvalue())
    assert (first.tag, first.when, first.sha256) == ("0000_a", 5, hashlib.sha256(b"A").hexdigest())
    assert second.tag == "0001_b"


def test_a_version_counts_when_all_three_images_are_tagged() -> None:
    tags = ["core-v1.0.0", "workers-v1.0.0", "migrate-v1.0.0", "core-v1.1.0", "migrate-v1.1.0", "nudenet-latest", "x"]
    assert complete_versions(tags) == {Version(1, 0, 0)}


def test_repositories_are_split_as_the_engine_splits_them() -> None:
    assert split_repository("public.ecr.aws/graasp/graasp") == ("public.ecr.aws", "graasp/graasp")
    assert split_repository("localhost/graasp-demo/graasp") == ("localhost", "graasp-demo/graasp")
    assert split_repository("graasp/iframely") == ("registry-1.docker.io", "graasp/iframely")
    assert split_repository("redis") == ("registry-1.docker.io", "library/redis")


class _Registry(BaseHTTPRequestHandler):
    """Wants a token, answers in two pages."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        if self.path.startswith("/token"):
            self._answer(200, {"token": "sesame"})
        elif self.headers.get("Authorization") != "Bearer sesame":
            challenge = f'Bearer realm="http://{host}/token",service="s",scope="repository:g/g:pull"'
            self._answer(401, {}, {"WWW-Authenticate": challenge})
        elif "last=" in self.path:
            self._answer(200, {"tags": ["core-v2.0.0"]})
        else:
            self._answer(200, {"tags": ["core-v1.0.0"]}, {"Link": '</v2/g/g/tags/list?last=core-v1.0.0>; rel="next"'})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tags_are_asked_for_with_a_token_page_by_page(registry: str) -> None:
    assert repository_tags(f"{registry}/g/g") == ("core-v1.0.0", "core-v2.0.0")


def test_a_registry_that_does_not_answer_is_reported() -> None:
    with pytest.raises(RegistryUnreachableError):
        repository_tags("127.0.0.1:1/g/g")


def test_the_token_is_what_nginx_computes() -> None:
    signature, _, expiry = bypass_token("secret", 1_800_000_000).partition(".")
    digest = hashlib.md5(b"1800000000 graasp_bypass secret").digest()
    assert base64.urlsafe_b64decode(signature + "==") == digest
    assert expiry == "1800000000"


def test_the_link_belongs_to_the_site(tmp_path: Path) -> None:
    assert bypass_link("https://graasp.example/", "s", 9).startswith("https://graasp.example/.graasp/bypass?token=")


def test_what_nginx_refuses_is_reported_in_its_own_words() -> None:
    said = (
        "/docker-entrypoint.sh: Configuration complete; ready for start up\n"
        '2026/11/28 20:00:00 [emerg] 1#1: invalid number of arguments in "add_header" directive '
        "in /etc/nginx/conf.d/x:3\n"
        "nginx: [emerg] the same a second time\nnginx: configuration file /etc/nginx/nginx.conf test failed\n"
    )
    assert refusal_of_nginx(said) == 'invalid number of arguments in "add_header" directive in /etc/nginx/conf.d/x:3'
    assert refusal_of_nginx("") == "it gave no reason"


def test_what_compose_2_24_lists_of_inactive_profiles_does_not_count() -> None:
    rendered = {
        "core": {},
        "db": {"profiles": None},
        "admin": {"profiles": ["admin"]},
        "files": {"profiles": ["files"]},
    }
    assert [*without_inactive(rendered, ["files", "migration"])] == ["core", "db", "files"]


def test_an_answer_that_the_engine_loses_is_asked_for_again(tmp_path: Path) -> None:
    """Seen on a busy engine: a command in a container ends with 0, and what it wrote does not arrive."""
    count = tmp_path / "count"
    losing_two = f'n=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) >{count}; [ "$n" -lt 2 ] || echo yes'
    assert answer_of(["sh", "-c", losing_two], "Reading the files") == "yes"
    with pytest.raises(NeedsYou, match="Reading the files failed: the engine passed on no output"):
        answer_of(["true"], "Reading the files")
    with pytest.raises(NeedsYou, match="Listing the content of the dump failed"):
        entries_of(["true"], [])


@pytest.mark.parametrize(
    ("stderr", "exit_code", "said"),
    [
        (
            " Container x  Starting\nError response from daemon: no space left",
            1,
            "Error response from daemon: no space left",
        ),
        (" Container x  Starting\n", -9, "it was killed by the signal SIGKILL."),
        ("", 18, "exit code 18, without a reason."),
    ],
)
def test_a_compose_that_failed_or_was_killed_is_reported_without_a_librarys_words(
    stderr: str, exit_code: int, said: str
) -> None:
    assert compose_failed(stderr, exit_code).what == f"Compose failed: {said}"
