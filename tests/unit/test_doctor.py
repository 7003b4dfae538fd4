"""The doctor: each judgement by itself, what is not known is never well, and the network asked on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields, replace

from graasp_local import __version__
from graasp_local.doctor import network
from graasp_local.doctor.facts import (
    AcmeRenewal,
    Certificate,
    Facts,
    HostName,
    Known,
    MailServer,
    OwnFiles,
    PortUse,
    PostgresMajors,
    Return,
    Unknown,
)
from graasp_local.doctor.findings import Finding, Verdict, exit_code
from graasp_local.doctor.gather import gather
from graasp_local.doctor.judge import judge
from graasp_local.errors import ExitCode, GraaspLocalError, Refused
from graasp_local.lock import Holder
from graasp_local.operations.deployments import deployment_plan, refusals
from graasp_local.operations.steps.preflight import Problem
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.ports.database import CollationChange
from graasp_local.ports.doctor import EngineInfo, Registry
from graasp_local.ports.images import ImageFact
from graasp_local.ports.world import World
from graasp_local.settings.rules import Severity
from graasp_local.site.check import Finding as ConfigurationFinding
from graasp_local.site.create import init_site, newer_maker
from graasp_local.stack.memory import in_bytes, memory_limits
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy

GIB = 1024**3
ENGINE = EngineInfo("28.5.2", "linux/amd64", 8 * GIB, 50 * GIB)
IMAGE = ImageFact("core", "graasp:core-v1.0.0", local=True, platforms=("linux/amd64",))
ACME = AcmeRenewal(due=None, problem="", timer_days_ago=0.5)

WELL = Facts(
    configuration=(),
    rotation_cut_off=(),
    engine=Known(ENGINE),
    compose=Known("2.40.3"),
    version="1.0.0",
    images=Known((IMAGE,)),
    registry=Known(Registry("public.ecr.aws", refuses=False)),
    database_bytes=Known(1 * GIB),
    limits=Known({"core": 2 * GIB, "db": 2 * GIB}),
    ports=Known((PortUse(80, None),)),
    names=Known((HostName("graasp.school.example", ("192.0.2.1",)),)),
    certificate=Known(Certificate("graasp.school.example", 60)),
    renewal=Known(ACME),
    clock_ahead_seconds=Known(0.3),
    mail=Known(MailServer("mail.school.example", 587)),
    leftovers=Known(()),
    volumes=Known(()),
    postgres=Known(PostgresMajors(16, 16)),
    unfinished=Known(None),
)


def of(check: str, **facts: Any) -> Finding:
    """The worst finding of one check, with these facts instead of good ones."""
    found = [finding for finding in judge(replace(WELL, **facts)) if finding.check == check]
    return min(found, key=lambda finding: list(Verdict).index(finding.verdict))


def test_on_a_healthy_site_every_check_is_ok() -> None:
    findings = judge(WELL)
    assert {finding.verdict for finding in findings} == {Verdict.OK}
    assert not any(finding.fix for finding in findings)
    assert exit_code(findings) is ExitCode.DONE


def test_a_client_that_is_missing_is_built_because_no_registry_has_it() -> None:
    client = replace(IMAGE, service="client", problem="it is nowhere")
    assert of("images", images=Known((client,))).fix.startswith("`graasp-local build --version 1.0.0 --only client`")


@pytest.mark.parametrize(
    "fact", [f.name for f in fields(Facts) if isinstance(getattr(WELL, f.name), Known) and f.name != "limits"]
)
def test_what_is_unknown_is_never_ok(fact: str) -> None:
    because = "it does not answer"
    unknown: dict[str, Any] = {fact: Unknown(because)}
    findings = judge(replace(WELL, **unknown))
    told = [finding for finding in findings if because in finding.said]
    assert told
    assert all(finding.verdict in (Verdict.UNKNOWN, Verdict.FAILS) for finding in told)


@pytest.mark.parametrize(
    ("check", "facts", "verdict", "said"),
    [
        ("engine", {"engine": Unknown("no such file")}, Verdict.FAILS, "No Docker engine answers: no such file"),
        ("engine", {"engine": Known(replace(ENGINE, version="20.10.24"))}, Verdict.FAILS, "20.10.24 is too old: 25"),
        (
            "engine",
            {"engine": Unknown("This user may not use the Docker engine at x (permission denied)")},
            Verdict.FAILS,
            "This user may not use",
        ),
        (
            "engine",
            {"engine": Unknown("Podman 5.8.6 answers at x, but graasp-local needs Docker Engine")},
            Verdict.FAILS,
            "Podman 5.8.6 answers",
        ),
        (
            "memory",
            {"engine": Known(replace(ENGINE, limits_memory=False))},
            Verdict.WARNING,
            "does not enforce memory limits",
        ),
        (
            "engine",
            {"engine": Known(replace(ENGINE, lowest_port=1024, ends_with_session_of="graasp"))},
            Verdict.WARNING,
            "stops when graasp logs out",
        ),
        ("ports", {"ports": Known((PortUse(999, None, 1024),))}, Verdict.FAILS, "999 is below 1024"),
        ("compose", {"compose": Known("2.20.1")}, Verdict.FAILS, "2.20.1 is too old: 2.24"),
        ("compose", {"compose": Unknown("not installed")}, Verdict.FAILS, "Compose 2.24 or newer is not available"),
        (
            "images",
            {"images": Known((replace(IMAGE, platforms=("linux/arm64",)),))},
            Verdict.FAILS,
            "is made for linux/arm64, but this engine is linux/amd64",
        ),
        ("images", {"images": Known((replace(IMAGE, problem="it is nowhere"),))}, Verdict.FAILS, "it is nowhere"),
        (
            "registry",
            {"registry": Known(Registry("r.example", refuses=True))},
            Verdict.FAILS,
            "refuses this user (403)",
        ),
        ("disk", {"engine": Known(replace(ENGINE, free_bytes=GIB))}, Verdict.FAILS, "1.0 GiB free, but a deployment"),
        ("disk", {"engine": Known(replace(ENGINE, free_bytes=None))}, Verdict.UNKNOWN, "could not be checked"),
        ("disk", {"database_bytes": Unknown("it is off")}, Verdict.UNKNOWN, "it is off"),
        ("memory", {"engine": Known(replace(ENGINE, memory_bytes=GIB // 2))}, Verdict.FAILS, "core and workers alone"),
        ("memory", {"limits": Known({"core": 9 * GIB})}, Verdict.WARNING, "together may use 9.0 GiB"),
        ("memory", {"limits": Known({})}, Verdict.UNKNOWN, "no service has a limit"),
        (
            "ports",
            {"ports": Known((PortUse(80, "is in use by apache2 (process 7)"),))},
            Verdict.FAILS,
            "in use by apache2",
        ),
        ("names", {"names": Known((HostName("a.example", ()),))}, Verdict.WARNING, "a.example does not resolve"),
        (
            "names",
            {"names": Known((HostName("a.example", ("192.0.2.1", "2001:db8::1"), ("2001:db8::1",)),))},
            Verdict.WARNING,
            "a.example resolves to 2001:db8::1, which does not answer",
        ),
        ("certificate", {"certificate": Known(Certificate("a", 5))}, Verdict.WARNING, "expires in 5 days"),
        ("certificate", {"certificate": Known(Certificate("a", None, "expired"))}, Verdict.WARNING, "Browsers reject"),
        ("certificate", {"certificate": Known(None)}, Verdict.OK, "No certificate is needed"),
        ("renewal", {"renewal": Known(None)}, Verdict.OK, "TLS is off"),
        ("renewal", {"renewal": Known(OwnFiles.TAKEN_OVER)}, Verdict.OK, "nginx uses the current TLS_CERTIFICATE"),
        ("renewal", {"renewal": Known(OwnFiles.CHANGED)}, Verdict.WARNING, "nginx still uses the old ones"),
        (
            "renewal",
            {"renewal": Known(replace(ACME, timer_days_ago=None))},
            Verdict.WARNING,
            "no timer has ever run",
        ),
        ("renewal", {"renewal": Known(replace(ACME, timer_days_ago=2.9))}, Verdict.OK, "70 hours ago"),
        ("renewal", {"renewal": Known(replace(ACME, timer_days_ago=8.0))}, Verdict.WARNING, "for 8 days"),
        ("renewal", {"renewal": Known(replace(ACME, due="it ends"))}, Verdict.WARNING, "is due for renewal: it ends."),
        ("renewal", {"renewal": Known(replace(ACME, problem="It is away."))}, Verdict.WARNING, "failed: It is away."),
        ("clock", {"clock_ahead_seconds": Known(90.0)}, Verdict.WARNING, "90 s ahead"),
        ("clock", {"clock_ahead_seconds": Known(-90.0)}, Verdict.WARNING, "90 s behind"),
        ("mail", {"mail": Known(MailServer("m", 25, "does not answer"))}, Verdict.WARNING, "m:25 does not answer"),
        ("containers", {"leftovers": Known(("site-old-1",))}, Verdict.WARNING, "site-old-1"),
        ("volumes", {"volumes": Known(("site_pg",))}, Verdict.WARNING, "site_pg"),
        ("postgres", {"postgres": Known(PostgresMajors(15, 16))}, Verdict.FAILS, "written by Postgres 15"),
        (
            "collations",
            {"collations": Known((CollationChange("graasp", "2.31", "2.36"),))},
            Verdict.WARNING,
            "may be out of order",
        ),
        ("rollback", {"rollback": Known(None)}, Verdict.OK, "Nothing has been deployed here yet"),
        (
            "rollback",
            {"rollback": Known(Return("1.0.0"))},
            Verdict.OK,
            "1.0.0 can be restored: its images are still available",
        ),
        (
            "rollback",
            {"rollback": Known(Return("1.0.0", lost=("core",)))},
            Verdict.FAILS,
            "it cannot be rolled back to 1.0.0: the image of core is no longer on the engine or",
        ),
        (
            "rollback",
            {"rollback": Known(Return("1.0.0", other_builds=("core", "workers")))},
            Verdict.WARNING,
            "1.0.0 would be restored with another build of core and workers",
        ),
        ("unfinished", {"unfinished": Known("0002-deploy")}, Verdict.WARNING, "0002-deploy was left unfinished"),
        ("unfinished", {"unfinished": Unknown("it is nowhere")}, Verdict.UNKNOWN, "it is nowhere"),
        (
            "unfinished",
            {
                "unfinished": Known("0002-deploy"),
                "holder": Holder("graasp-local deploy", 7, "here", "now"),
            },
            Verdict.WARNING,
            "Another command is running on this site: `graasp-local deploy`",
        ),
        ("secrets", {"rotation_cut_off": ("JWT_SECRET",)}, Verdict.WARNING, "JWT_SECRET was interrupted"),
    ],
)
def test_a_judgement(check: str, facts: dict[str, Any], verdict: Verdict, said: str) -> None:
    finding = of(check, **facts)
    assert finding.verdict is verdict
    assert said in finding.said
    assert bool(finding.fix) == (verdict in (Verdict.FAILS, Verdict.WARNING))


@pytest.mark.parametrize(
    ("service", "fix"),
    [("core", "`graasp-local build --version 1.0.0 --only core`"), ("umami", "Set UMAMI_IMAGE in .env")],
)
def test_for_an_image_of_another_platform_there_is_a_way_out(service: str, fix: str) -> None:
    image = replace(IMAGE, service=service, platforms=("linux/arm64",))
    assert fix in of("images", images=Known((image,))).fix


@pytest.mark.parametrize(("severity", "code"), [(Severity.ERROR, ExitCode.REFUSED), (Severity.WARNING, ExitCode.DONE)])
def test_the_exit_code_is_10_where_a_deployment_would_fail(severity: Severity, code: ExitCode) -> None:
    problem = ConfigurationFinding(severity, Path(".env"), "A", 1, "A is wrong.", "Fix A.")
    assert exit_code(judge(replace(WELL, configuration=(problem,)))) is code


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 * 1024**2), ("1.5g", 3 * GIB // 2), ("1073741824", GIB), ("2GB", 2 * GIB), ("x", None)],
)
def test_sizes_are_read_as_compose_reads_them(text: str, size: int | None) -> None:
    assert in_bytes(text) == size


def test_limits_of_later_files_win_and_variables_are_filled_in(tmp_path: Path) -> None:
    base, override = tmp_path / "a.yaml", tmp_path / "b.yaml"
    base.write_text("services: {core: {mem_limit: 2g}, db: {mem_limit: '${DB_MEMORY:-1g}'}, off: {mem_limit: 9g}}\n")
    override.write_text("services: {core: {deploy: {resources: {limits: {memory: 1g}}}}}\n")
    assert memory_limits([base, override], {"DB_MEMORY": "3g"}, {"core", "db"}) == {"core": GIB, "db": 3 * GIB}


def no_engine() -> World:
    raise GraaspLocalError("No Docker engine answers.")


def test_without_an_engine_it_checks_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    site = init_site(tmp_path / "site", {"GRAASP_REPOSITORY": "localhost:1/graasp"}, demo=False)
    assert site.services
    before = {file: file.read_bytes() for file in site.directory.rglob("*") if file.is_file()}
    facts = gather(site, no_engine, None)
    assert isinstance(facts.engine, Unknown)
    assert isinstance(facts.names, Known)
    assert any(finding.check == "engine" and finding.verdict is Verdict.FAILS for finding in judge(facts))
    assert {file: file.read_bytes() for file in site.directory.rglob("*") if file.is_file()} == before


def test_unusable_settings_are_reported_and_the_rest_is_unknown(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {}, demo=False)
    site.env_file.write_text(site.env_file.read_text().replace("HTTP_PORT=80", "HTTP_PORT=http"))
    facts = gather(type(site)(site.directory), no_engine, None)
    assert isinstance(facts.mail, Unknown)
    assert exit_code(judge(facts)) is ExitCode.REFUSED


@contextmanager
def server(answer: bytes, *, greets: bool) -> Iterator[int]:
    """A port on loopback that says this: when someone connects, or to the first thing that is sent."""

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.settimeout(5)
            if greets:
                connection.sendall(b"220 mail.school.example ESMTP\r\n")
            connection.recv(4096)
            connection.sendall(answer)
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])


THIS_MACHINE = "0.0.0.0"
"""Leads to loopback without looking like it, as the name of a mail server elsewhere would not."""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"250 mail.school.example\r\n", ""),
        (b"502 no\r\n", "answers EHLO with 502"),
        (b"\x16\x03nonsense\r\n", "answers"),
    ],
)
def test_a_mail_server_is_asked_for_ehlo(answer: bytes, problem: str) -> None:
    with server(answer, greets=True) as port:
        found = network.mail_server(f"smtp://user:secret@{THIS_MACHINE}:{port}")
    assert isinstance(found, Known)
    assert found.value.problem.startswith(problem)
    assert bool(found.value.problem) == bool(problem)


def test_a_mail_server_that_does_not_answer_is_reported() -> None:
    found = network.mail_server(f"smtp://user:secret@{THIS_MACHINE}:1")
    assert isinstance(found, Known)
    assert "does not answer" in found.value.problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "mailpit"])
def test_a_mail_server_among_the_containers_is_not_asked_from_here(host: str) -> None:
    assert isinstance(network.mail_server(f"smtp://{host}:25"), Unknown)


def test_the_clock_is_compared_with_the_date_of_an_answer() -> None:
    date = formatdate(time.time() + 3600, usegmt=True)
    answer = f"HTTP/1.1 401 no\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
    with server(answer, greets=False) as port:
        found = network.clock_ahead(f"http://127.0.0.1:{port}/v2/")
    assert isinstance(found, Known)
    assert -3610 < found.value < -3590


def test_a_clock_that_cannot_be_compared_is_not_known() -> None:
    assert isinstance(network.clock_ahead("http://127.0.0.1:1/v2/"), Unknown)
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", greets=False) as port:
        assert isinstance(network.clock_ahead(f"http://127.0.0.1:{port}/"), Unknown)


def test_a_certificate_is_asked_for_where_the_site_is_https() -> None:
    assert network.certificate("http://127.0.0.1:1") == Known(None)
    assert isinstance(network.certificate("https://127.0.0.1:1"), Unknown)
    with server(b"HTTP/1.1 400 this is plain\r\n\r\n", greets=False) as port:
        found = network.certificate(f"https://127.0.0.1:{port}")
    assert isinstance(found, Known)
    assert found.value is not None
    assert "the TLS handshake failed" in found.value.problem


def test_names_below_localhost_are_this_machine() -> None:
    assert network.host_name("umami.localhost", 80).addresses == ("127.0.0.1",)


def test_an_ipv6_address_that_does_not_answer_is_reported_if_the_site_answers_otherwise() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
        assert network.silent_addresses(("127.0.0.1", "::1"), port) == ("::1",)
        assert network.silent_addresses(("127.0.0.1",), port) == ()
    assert network.silent_addresses(("127.0.0.1", "::1"), 1) == (), "a site that is off is not the fault of a record"


def test_what_fails_is_what_a_deployment_refuses_and_nothing_else() -> None:
    low = {"engine": Known(replace(ENGINE, memory_bytes=GIB // 2, free_bytes=GIB))}
    would_begin = judge(replace(WELL, refusals=Known(()), **low))
    assert {finding.verdict for finding in would_begin if finding.check in ("disk", "memory")} == {Verdict.WARNING}
    assert exit_code(would_begin) is ExitCode.DONE
    refused = (Problem("disk", "1 GiB is free.", "Make room."), Problem("networks", "No room.", "Prune."))
    would_not = judge(replace(WELL, refusals=Known(refused), **low))
    fails = {finding.check for finding in would_not if finding.verdict is Verdict.FAILS}
    assert fails == {"disk", "networks"}
    assert exit_code(would_not) is ExitCode.REFUSED


def refused_checks(fake: FakeWorld) -> list[str]:
    return [problem.check for problem in refusals(fake.world, Version(1, 1, 0))]


def test_the_checks_are_those_of_a_deployment(running: FakeWorld) -> None:
    assert refused_checks(running) == []
    running.engine.free_bytes = 1000
    running.engine.engine_version = "20.10.24"
    assert refused_checks(running) == ["engine", "disk"]


def test_a_disk_without_room_for_a_snapshot_but_for_a_file_refuses_neither(running: FakeWorld) -> None:
    running.database.bytes = 50 * GIB
    running.engine.free_bytes = 45 * GIB
    assert bool(refused_checks(running)) == is_refused(running)


def is_refused(fake: FakeWorld) -> bool:
    try:
        deployment_plan(fake.world, fake.world.observe(), DeployRequest(Version(1, 1, 0)))
    except Refused:
        return True
    return False


def test_a_version_that_is_older_than_the_database_is_refused_by_both(running: FakeWorld) -> None:
    deploy(running)
    running.forget_pins()
    assert [problem.check for problem in refusals(running.world, Version(1, 0, 0))] == ["deployment"]


@pytest.mark.parametrize(
    ("environment", "newer"),
    [
        ("A=1\n", None),
        ("# Made by graasp-local 0.1.0\nA=1\n", None),
        ("# Made by graasp-local 0.0.9\n# Added by graasp-local 0.1.0\n", None),
        ("# Made by graasp-local 0.2.0\nA=1\n", "0.2.0"),
        ("# Made by graasp-local 0.1.0\n# Added by graasp-local 0.10.1\nB=2\n", "0.10.1"),
    ],
)
def test_a_site_made_by_a_newer_graasp_local_is_reported(environment: str, newer: str | None) -> None:
    assert newer_maker(environment, "0.1.0") == newer


def test_a_newer_maker_is_a_warning() -> None:
    found = of("graasp-local", newer_maker="99.0.0")
    assert found.verdict is Verdict.WARNING
    assert "created or upgraded by graasp-local 99.0.0, which is newer than this one" in found.said
    assert "Upgrade graasp-local" in found.fix


def test_the_maker_is_read_from_the_site(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {}, demo=True)
    text = site.env_file.read_text()
    assert newer_maker(text) is None
    site.env_file.write_text(text.replace("# Made by graasp-local ", "# Made by graasp-local 99."))
    assert gather(site, no_engine, None).newer_maker == f"99.{__version__}"
