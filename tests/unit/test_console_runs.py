"""What the pages show below a command is what it prints: each block with output is run on a fake site.

The word after ```` ```console ```` names the site in `SITES`. Figures that no two runs have in common (seconds, sizes,
dates, digests) are compared as such figures; a line with … stands for any lines. What no fake site can print is in
`NOT_RUN`, with the reason. A block without output is typed on a real site by
tests/integration/test_console_blocks.py.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.cli.context import Context
from graasp_local.cli.main import run
from graasp_local.engine.containers.services import as_one
from graasp_local.engine.images.versions import FoundVersion, FoundVersions
from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.planning.server import DatabaseServer
from graasp_local.planning.states import Health, InfraState, ObservedService, ObservedState, ServiceGroup, Status
from graasp_local.site import prepare
from graasp_local.tls.certificate import Certificate
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import killed_at
from tests.unit.sites import site_in
from tests.unit.test_console_blocks import PAGES, blocks

NOT_RUN = {
    "deploy.md: curl -H 'X-Graasp-Maintenance: (the secret)' https://graasp.school.example/api/version": (
        "core answers, behind the gate"
    ),
}

DIGEST = "sha256:" + 64 * "0"

FIGURES = (
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "DATE"),
    (r"^\d{4}-\d\d  ", "MONTH  "),
    (r"\b(\d{4})-\d{8}-\d{6}", r"\1-DATE"),
    (r"\bsha256:[0-9a-f]{12,}", "sha256:DIGEST"),
    (r"\b\d+(\.\d+)? to \d+(\.\d+)? s\b", "RANGE"),
    (r"\b\d+ (min|h|d) \d+ (s|min|h)\b", "TIME"),
    (r"\b\d+(\.\d+)? (bytes|KiB|MiB)", "SIZE"),
    (r"\b\d+ (table|row|file)\(s\)", r"COUNT \1(s)"),
    (r"(?<![\d.])\d+\.\d+(?![\d.])( s\b)?", "TIME"),
    (r"\?token=[\w.-]+$", "?token=(a signed token)"),
    (r"[▉▊▋▌▍▎▏█]+", "BAR"),
)


def blurred(line: str) -> str:
    """A line without the figures that differ from run to run, and without the width of its columns."""
    for figure, word in FIGURES:
        line = re.sub(figure, word, line)
    return re.sub(r" {2,}", "  ", line).strip()


def shows(lines: list[str], printed: list[str]) -> bool:
    """Whether the lines are what was printed; … stands for any lines, and a question that waits is the end."""
    pattern = "".join("(.*\n)*?" if line == "…" else re.escape(f"{blurred(line)}\n") for line in lines)
    end = "(.*\n)*" if lines[-1].endswith((":", "[y/N]:")) else ""
    text = "".join(f"{blurred(line)}\n" for line in printed if line.strip())
    return re.fullmatch(f"{pattern}{end}", text) is not None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class OnFakeSite:
    """The command line, as `run()` has it, with a fake world behind it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = FakeWorld(directory)
        self.monkeypatch = monkeypatch
        self.on_terminal = False
        self.masks: dict[str, str] = {str(directory): "/srv/graasp"}
        monkeypatch.setattr(Context, "world", lambda *_: self.fake.world)
        monkeypatch.setattr("graasp_local.engine.site.containers.observe_site", lambda _: self.observed())
        monkeypatch.setattr("graasp_local.engine.containers.of_project.refuse_podman", lambda: None)
        monkeypatch.setattr(HttpEdge, "gate", lambda _: self.fake.state.gate())
        monkeypatch.setattr(time, "time", self.fake.clock.now)

    def observed(self) -> ObservedState:
        return replace(self.fake.state.observed, gate=self.fake.state.gate())

    def change(self, pattern: str, line: str) -> None:
        """A line of `.env`."""
        file = self.fake.directory / ".env"
        file.write_text(re.sub(pattern, line, file.read_text(), flags=re.MULTILINE))

    def run(self, command: str) -> list[str]:
        """What a command prints on both streams together, or the last one of several with | between them."""
        typed, _, piped = command.partition(" | ")
        stream: io.StringIO = Terminal() if self.on_terminal else io.StringIO()
        data = io.StringIO() if piped else stream
        with self.monkeypatch.context() as patch:
            words = shlex.split(typed)[1:]
            patch.setattr(sys, "argv", ["graasp-local", "--site", str(self.fake.directory), *words])
            patch.setattr(sys, "stdin", Terminal() if self.on_terminal else io.StringIO())
            patch.setattr(sys, "stdout", data)
            patch.setattr(sys, "stderr", stream)
            run()
        printed = stream.getvalue()
        if piped:
            printed = subprocess.check_output(["sh", "-c", piped], input=data.getvalue(), text=True)
        printed = printed.removesuffix("Interrupted: nothing was changed.\n")  # there is no one to answer a question
        for text, mask in self.masks.items():
            printed = printed.replace(text, mask)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed).splitlines()


def running(site: OnFakeSite, version: str = "1.1.0") -> None:
    site.fake.become(site_in(InfraState.RUNNING, version), version)


def slow_to_start(site: OnFakeSite) -> None:
    """Services take ten seconds to start."""

    def slow(start: Callable[[Sequence[str], Sequence[str]], None]) -> Callable[[Sequence[str], Sequence[str]], None]:
        def started(services: Sequence[str], first_of: Sequence[str] = ()) -> None:
            site.fake.clock.sleep(10)
            start(services, first_of)

        return started

    for name in ("start", "start_made"):
        site.monkeypatch.setattr(site.fake.engine, name, slow(getattr(site.fake.engine, name)))


def drifted(site: OnFakeSite) -> None:
    """The services of a demo site, as they are described there; the workers have ended."""
    running(site, "1.0.0")
    site.change(r"^PUBLIC_URL=.*", "PUBLIC_URL=http://localhost:8080")
    site.change(r"^#DB_IMAGE=.*", "DB_IMAGE=localhost/graasp-demo/postgres:15")
    site.run("graasp-local deploy --version 1.1.0")
    names = {"db": "postgres:15", "umami": "umami:3", "redis": "redis:7", "nginx": "nginx:1.22"}
    names["meilisearch"] = "meilisearch:1"
    images = {service: f"localhost/graasp-demo/{name}" for service, name in names.items()}
    meilisearch = ObservedService("meilisearch", ServiceGroup.GRAASP, Status.RUNNING, Health.HEALTHY)
    services = [
        replace(service, image=images.get(service.name, DIGEST))
        for service in (*site.fake.state.observed.services, meilisearch)
    ]
    workers = [service.name for service in services].index("workers")
    services[workers] = replace(services[workers], status=Status.EXITED, health=Health.NONE)
    site.fake.state.observed = replace(site.fake.state.observed, services=tuple(services))


def one_of_two_cores(site: OnFakeSite) -> None:
    running(site)
    (core,) = (service for service in site.fake.state.observed.services if service.name == "core")
    cores = as_one([(1, replace(core, status=Status.EXITED, health=Health.NONE)), (2, core)], 2, "1.1.0")
    site.fake.state.observed = replace(
        site.fake.state.observed,
        services=tuple(cores if one.name == "core" else one for one in site.fake.state.observed.services),
    )


def with_a_new_service(site: OnFakeSite) -> None:
    running(site)
    reports = ObservedService("reports", ServiceGroup.ADMINISTRATION, Status.ABSENT)
    site.fake.state.observed = replace(site.fake.state.observed, services=(*site.fake.state.observed.services, reports))


def with_a_short_password(site: OnFakeSite) -> None:
    site.change(r"^POSTGRES_PASSWORD=.*", "POSTGRES_PASSWORD=short")


def operated(site: OnFakeSite) -> None:
    """The operations that the page tells of."""
    slow_to_start(site)
    for command in ("deploy --version 1.0.0", "apply restricted"):
        site.run(f"graasp-local {command}")
        site.fake.clock.sleep(10)
    killed_at(site.fake, "start-graasp")
    site.fake.clock.sleep(10)
    for command in ("rollback", "apply running", "deploy --version 1.1.0"):
        site.run(f"graasp-local {command}")
        site.fake.clock.sleep(10)


def deployed_before(site: OnFakeSite) -> None:
    slow_to_start(site)
    site.run("graasp-local deploy --version 1.0.0")
    site.run("graasp-local deploy --version 1.1.0")


def to_be_asked(site: OnFakeSite) -> None:
    running(site)
    site.on_terminal = True


def deployed_with_a_migration(site: OnFakeSite) -> None:
    site.run("graasp-local deploy --version 1.0.0")
    site.run("graasp-local deploy --version 1.1.0")
    site.fake.clock.sleep(3 * 3600)
    site.fake.database.newer_rows = 41
    site.on_terminal = True


def upgraded(site: OnFakeSite) -> None:
    running(site)
    prepare.select(site.fake.world.site, DatabaseServer("postgres:17.7", "graasp_db-data-17"))
    site.fake.servers.majors.update({"graasp_db-data": 15, "graasp_db-data-17": 17})
    site.on_terminal = True


def with_images_for_another_platform(site: OnFakeSite) -> None:
    running(site)
    site.fake.engine.platforms = ("linux/arm64",)
    facts = site.fake.engine.image_facts
    site.monkeypatch.setattr(  # in the order of Compose
        site.fake.engine, "image_facts", lambda version: tuple(sorted(facts(version), key=lambda fact: fact.service))
    )
    site.masks["graasp:"] = "…:"


def held_at_school(site: OnFakeSite) -> None:
    site.change(r"^PUBLIC_URL=.*", "PUBLIC_URL=https://graasp.school.example")
    site.change(r"^COOKIE_DOMAIN=.*", "COOKIE_DOMAIN=graasp.school.example")
    secret = re.search(r"^MAINTENANCE_HEADER_SECRET=(.*)", (site.fake.directory / ".env").read_text(), re.MULTILINE)
    assert secret is not None
    site.masks[secret[1]] = "(the secret)"


def with_three_versions(site: OnFakeSite) -> None:
    running(site)
    here = tuple(FoundVersion(Version.parse(text), True, False) for text in ("1.3.0-slow-boot", "1.2.0", "1.1.0"))
    site.monkeypatch.setattr(Context, "engine", lambda *_: site.fake.engine)
    site.monkeypatch.setattr(
        "graasp_local.engine.images.versions.find_versions", lambda _, repository: FoundVersions(here, repository)
    )


def with_a_certificate_to_come(site: OnFakeSite) -> None:
    """What an authority gave stands for the whole renewal: only the sentence about it is real."""
    running(site)
    certificate = Certificate((), "R11", datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 3, 1, 9, 12, tzinfo=UTC))
    site.monkeypatch.setattr(Context, "engine", lambda *_: site.fake.engine)
    site.monkeypatch.setattr("graasp_local.tls.renew.renew", lambda *_: certificate)


SITES: dict[str, Callable[[OnFakeSite], None]] = {
    "running": running,
    "drifted": drifted,
    "one-of-two-cores": one_of_two_cores,
    "with-a-new-service": with_a_new_service,
    "with-a-short-password": with_a_short_password,
    "operated": operated,
    "deployed-before": deployed_before,
    "to-be-asked": to_be_asked,
    "deployed-with-a-migration": deployed_with_a_migration,
    "upgraded": upgraded,
    "with-images-for-another-platform": with_images_for_another_platform,
    "held-at-school": held_at_school,
    "with-three-versions": with_three_versions,
    "with-a-certificate-to-come": with_a_certificate_to_come,
    "at-1.0.0": lambda site: running(site, "1.0.0"),
}


def shown(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Each command of a block with the lines below it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(("$ ", "# ")):
            found.append((re.sub(r" {2,}# .*", "", line[2:]), []))
        elif line:
            found[-1][1].append(line)
    return found


def runs(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """The site and the command of every run that a page shows, with what is printed there."""
    for marker, lines in blocks(page):
        for command, printed in shown(lines):
            if printed and marker != "offline":
                yield marker, command, printed


RUNS = [
    pytest.param(marker, command, printed, id=f"{page.name}: {command}")
    for page in PAGES
    for marker, command, printed in runs(page)
    if f"{page.name}: {command}" not in NOT_RUN
]


@pytest.mark.parametrize(("name", "command", "printed"), RUNS)
def test_what_a_page_shows_is_what_is_printed(
    name: str, command: str, printed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in SITES, "name a site after ```console, or say in NOT_RUN why none can make this"
    site = OnFakeSite(tmp_path / "graasp", monkeypatch)
    SITES[name](site)
    told = site.run(command)
    assert shows(printed, told), "\n".join(["", *printed, "", "is not what is printed:", "", *told])


def test_every_site_is_of_a_block() -> None:
    assert {marker for page in PAGES for marker, _, _ in runs(page) if marker} == set(SITES)


def test_what_is_not_run_is_still_there() -> None:
    shown_there = {f"{page.name}: {command}" for page in PAGES for _, command, _ in runs(page)}
    assert set(NOT_RUN) - shown_there == set()


@pytest.mark.parametrize(
    ("lines", "printed", "expected"),
    [
        (["Done in 2.5 s."], ["Done in 0.1 s."], True),
        (["limit 10 s"], ["limit 30 s"], False),
        (["…", "last"], ["first", "second", "last"], True),
        (["last"], ["first", "last"], False),
        (["a  b"], ["a     b"], True),
        (["Go ahead? [y/N]:"], ["Go ahead? [y/N]: "], True),
    ],
)
def test_what_counts_as_the_same(lines: list[str], printed: list[str], *, expected: bool) -> None:
    assert shows(lines, printed) is expected


SCRIPTS = [
    text
    for page in PAGES
    for text in re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(("code", "said"), [(0, "deployed"), (10, "nothing was changed"), (20, "rolled back")])
def test_a_script_of_the_pages_understands_what_a_deployment_prints(
    script: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the JSON lines of a real deployment, by a program that only prints them and ends with a code."""
    site = OnFakeSite(tmp_path / "graasp", monkeypatch)
    running(site)
    (tmp_path / "printed").write_text("\n".join([*site.run("graasp-local deploy --version 1.2.0 --json"), ""]))
    program = tmp_path / "graasp-local"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/printed'; exit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = subprocess.run(["sh", "-c", script, "deploy", "1.2.0"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout.splitlines()[:2] == ["done", "1.2.0"]
    assert said in done.stdout.splitlines()[-1]


def test_there_is_a_script() -> None:
    assert SCRIPTS
