"""The console blocks of the pages that show no output are typed on a demo site, on a terminal, in their order.

Blocks with output are run on fake sites (tests/unit/test_console_runs.py). Other tests take from the pages what needs
more than a site (`from_page`), and type that. What no test types is in `NOT_TYPED`: it runs the tests.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from graasp_local.testing.ports import free_port
from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker
from tests.integration.registry import Registry, running_registry
from tests.terminal import Terminal, at_a_terminal
from tests.unit.test_console_blocks import FROM_PAGES, PAGES, ROOT, blocks, commands, from_page

NOT_TYPED = {
    "scripts/setup": "scripts/test",
    "scripts/check": "scripts/test",
    "scripts/test": ".ci/run",
    "./scripts/test": ".ci/run",
}
"""A command, and the script of the checkout that runs it whenever the tests run."""

TYPED_BY_OTHERS = (
    "tests.integration.test_backup",
    "tests.integration.test_demo_script",
    "tests.integration.test_engine_elsewhere",
    "tests.integration.test_fresh_machine",
    "tests.integration.test_matrix_script",
    "tests.integration.test_plugin",
    "tests.unit.test_new_site",
)
"""Tests that type commands of the pages themselves, with what these need."""

TUI = ["graasp-local", *from_page("operate.md", "graasp-local tui")]
PRUNE = from_page("recover.md", "docker image prune")
PASSWORD = from_page("operate.md", "graasp-local compose -- exec db psql -U postgres -c")
OWN_SERVICE = from_page("install.md", "graasp-local compose -- rm --stop --force reports")
REBUILD = from_page("operate.md", "curl --fail --header")
HERE = {*TUI, *PRUNE, *PASSWORD, *OWN_SERVICE, *REBUILD}

CORE_WITH_REBUILD = """\
FROM localhost/graasp-demo/graasp:core-v1.1.0
COPY <<EOF rebuild.py
import os
from aiohttp import web
import core

async def rebuild(request):
    right = request.headers.get("meilisearch-rebuild") == os.environ["MEILISEARCH_REBUILD_SECRET"]
    return web.Response(status=202 if right else 401)

application = core.make_application()
application.router.add_get("/api/items/collections/search/rebuild", rebuild)
web.run_app(application, host="0.0.0.0", port=3000, print=None, access_log=None, handle_signals=False)
EOF
CMD ["dumb-init", "python3", "rebuild.py"]
"""
"""The demo core with one address of Graasp's core that it does not have."""


def for_others() -> set[str]:
    """What the other tests take from the pages, when they are imported."""
    for name in TYPED_BY_OTHERS:
        importlib.import_module(name)
    return {command for _, command in FROM_PAGES} - HERE


def is_typed(command: str) -> bool:
    """Whether the tests with a parameter for each block type this."""
    return command not in {*FOR_OTHERS, *HERE, *NOT_TYPED}


FOR_OTHERS = for_others()


def silent_blocks() -> Iterator[tuple[str, list[str]]]:
    """Page and commands of each block without output, less what is not typed in a block."""
    for page in PAGES:
        for _, lines in blocks(page):
            typed = [command for command in commands(lines) if is_typed(command)]
            if len(commands(lines)) == len(list(filter(None, lines))) and typed:
                yield page.name, typed


def discards(typed: list[str]) -> bool:
    """Whether a block asks for the site's name, because it replaces the site's data."""
    return any(" rollback" in command or " restore " in command for command in typed)


def undoes(typed: list[str]) -> bool:
    """Whether a block leaves a site that no other block can be typed on."""
    return any(" rollback" in command or " down " in command for command in typed)


def upgrades(typed: list[str]) -> bool:
    """Whether a block leaves the site on another server."""
    return any(" upgrade-database " in command for command in typed)


def pulls(typed: list[str]) -> bool:
    """Whether a block needs a registry with the site's images."""
    return any(" -- pull " in command for command in typed)


def the_blocks(kind: Callable[[list[str]], bool] | None = None) -> list[ParameterSet]:
    """The blocks of a kind, or those of none."""
    kinds = (undoes, upgrades, pulls)
    return [
        pytest.param(typed, id=f"{page}: {'; '.join(typed)}")
        for page, typed in silent_blocks()
        if (kind(typed) if kind else not any(is_one(typed) for is_one in kinds))
    ]


class Typist:
    """A terminal in the site's directory, in front of which someone agrees to what is asked."""

    def __init__(self, site: DemoSite, place: Path) -> None:
        self.site = site
        self.place = place
        (place / "passphrase").write_text("correct horse battery staple\n")
        (place / "passphrase").chmod(0o600)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.site.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def at(self, command: str) -> AbstractContextManager[Terminal]:
        """The command at a terminal that waits for what is asked."""
        return at_a_terminal(
            "bash", "-c", command, cwd=self.site.directory, environment={**self.environment, "TERM": "xterm-256color"}
        )

    def here(self, command: str) -> str:
        """The command with this site's names in the place of the page's."""
        site = self.site
        for theirs, ours in {
            "2.14.2": "1.1.0",
            "/root/graasp-backup-passphrase": str(self.place / "passphrase"),
            "init /srv/graasp": f"init {self.place / 'new'}",
            "/srv/graasp": str(site.directory),
            "/tmp/try": str(self.place / "try"),
            "--project try --port 8099": f"--project gltest-{uuid.uuid4().hex[:8]} --port {free_port()}",
            "graasp_search-data": f"{site.project}_search-data",
            "-- exec db psql": "-- exec -T db psql",  # on a terminal it shows its list in a pager
        }.items():
            command = command.replace(theirs, ours)
        if "history 0002-" in command:
            newest = json.loads(site.run("history", "--json").stdout.splitlines()[0])
            command = f"graasp-local history {newest['operation']}"
        if command.endswith(" -f"):  # until Ctrl-C
            return f"timeout --signal INT 2 {command} </dev/null || test $? = 124"
        return command

    def type(self, typed: list[str]) -> str:
        """Type the commands one after the other, up to one that fails; returns what the screen shows."""
        script = shlex.join(["bash", "-c", "\n".join(["set -e", *map(self.here, typed)])])
        answers = [self.site.project] if discards(typed) else []
        done = subprocess.run(
            ["script", "--quiet", "--return", "--command", script, "/dev/null"],
            input="\n".join([*answers, *["y"] * 8, ""]),
            capture_output=True,
            text=True,
            timeout=300,
            # A checkout with its .venv, or a directory of the site's own.
            cwd=ROOT if "source .venv/bin/activate" in typed else self.site.directory,
            env=self.environment,
        )
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout


@pytest.mark.parametrize("typed", the_blocks())
def test_a_block_can_be_typed(typed: list[str], site: DemoSite, tmp_path: Path) -> None:
    site.deploy("1.1.0")
    if any(" backup " in command or " restore " in command for command in typed):
        site.run("backup")
    Typist(site, tmp_path).type(typed)


@pytest.mark.parametrize("typed", TUI)
def test_the_terminal_ui_opens_and_closes(typed: str, site: DemoSite, tmp_path: Path) -> None:
    with Typist(site, tmp_path).at(typed) as terminal:
        if "--serve" in typed:
            terminal.wait_for("http://127.0.0.1:8470/")
            terminal.process.send_signal(signal.SIGINT)
        else:
            terminal.wait_for("nginx")
            terminal.type("q")
        assert terminal.end() in (0, 130), terminal.said


def test_the_password_of_the_database_is_asked_for(site: DemoSite, tmp_path: Path) -> None:
    (typed,) = PASSWORD
    password = site.setting("POSTGRES_PASSWORD")
    with Typist(site, tmp_path).at(typed) as terminal:
        terminal.answer("Enter new password", password)
        terminal.answer("Enter it again:", password)
        assert terminal.end() == 0, terminal.said
    assert site.database("graasp", "SELECT 1") == [(1,)]


def test_pruning_images_asks_first(site: DemoSite, tmp_path: Path) -> None:
    """And the answer is no: the engine has images of other tests."""
    (typed,) = PRUNE
    with Typist(site, tmp_path).at(typed) as terminal:
        terminal.answer("[y/N]", "n")
        terminal.end()
    assert "remove all dangling images" in terminal.said


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """With the images that the pages have pulled, under the names of their services."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        for service, image in {"db": "postgres:15", "meilisearch": "meilisearch:1", "reports": "iframely:1"}.items():
            with another_image(f"localhost/graasp-demo/{image}") as other:
                registry.push(other, service)
        yield registry


@contextmanager
def another_image(image: str, source: str = "") -> Iterator[str]:
    """An image that behaves like another one, or is built from this source."""
    name = f"localhost/gltest-{uuid.uuid4().hex[:8]}:other"
    docker("build", "--quiet", "--tag", name, "-", text=source or f"FROM {image}\nLABEL build={name}\n")
    yield name
    docker("rmi", "--force", name)


@pytest.mark.parametrize("typed", the_blocks(pulls))
def test_a_block_that_pulls_can_be_typed(typed: list[str], registry: Registry, site: DemoSite, tmp_path: Path) -> None:
    pulled = re.findall(r" -- pull (\w+)", "\n".join(typed))
    before = (site.directory / ".env").read_text()
    site.configure(**{f"{service.upper()}_IMAGE": f"{registry.repository}:{service}" for service in pulled})
    try:
        Typist(site, tmp_path).type(typed)
        assert site.status()["state"] == "running"
        for service in pulled:
            image = docker("image", "inspect", "--format", "{{.Id}}", f"{registry.repository}:{service}")
            assert site.containers()[service]["Image"] == image
    finally:
        (site.directory / ".env").write_text(before)
        site.run("apply", "running")


def test_the_search_index_is_rebuilt_by_a_request_with_the_secret(site: DemoSite, tmp_path: Path) -> None:
    (typed,) = REBUILD
    typed = typed.replace("https://graasp.example.org", site.stack.get_url())
    right = typed.replace("SECRET", site.setting("MEILISEARCH_REBUILD_SECRET"))
    with another_image("", CORE_WITH_REBUILD) as core:
        site.configure(CORE_IMAGE=core)
        try:
            site.run("apply", "running")
            Typist(site, tmp_path).type([right])
            Typist(site, tmp_path).type([f"! {typed}"])
        finally:
            site.configure(CORE_IMAGE="")
            site.run("apply", "running")


def test_a_service_of_your_own_is_pulled_started_and_removed(
    registry: Registry, site: DemoSite, tmp_path: Path
) -> None:
    override = site.directory / "compose.override.yaml"
    before = override.read_text()
    example = r"```yaml\nservices:\n(  reports:\n.*?)```"
    (text,) = re.findall(example, (ROOT / "docs" / "install.md").read_text(), re.DOTALL)
    text = text.replace("registry.school.example/reports:1.4", f"{registry.repository}:reports")
    text = text.partition("    healthcheck:")[0]  # what stands in for it answers on another port
    override.write_text(re.sub(r"^services:\n", f"services:\n{text}", before, flags=re.MULTILINE))
    try:
        (block,) = (
            commands(lines) for marker, lines in blocks(ROOT / "docs" / "install.md") if "new-service" in marker
        )
        Typist(site, tmp_path).type(block)
        assert "reports" in site.running()
        Typist(site, tmp_path).type(OWN_SERVICE)
        assert "reports" not in site.containers()
    finally:
        override.write_text(before)


@pytest.mark.parametrize("typed", the_blocks(undoes))
def test_a_block_that_undoes_can_be_typed(typed: list[str], new_site: DemoSite, tmp_path: Path) -> None:
    if not any(" init " in command for command in typed):  # a block that creates a site is typed on that
        new_site.deploy("1.0.0")
    if discards(typed):
        new_site.deploy("1.1.0")
    Typist(new_site, tmp_path).type(typed)


@pytest.mark.parametrize("typed", the_blocks(upgrades))
def test_a_block_that_upgrades_can_be_typed(typed: list[str], site: DemoSite, tmp_path: Path) -> None:
    """The last one on this site."""
    Typist(site, tmp_path).type(typed)
    assert site.database("graasp", "SHOW server_version_num")[0][0].startswith("17")


@pytest.mark.parametrize(("command", "script"), NOT_TYPED.items())
def test_what_is_not_typed_is_run_by_the_script_that_runs_the_tests(command: str, script: str) -> None:
    lines = (ROOT / script).read_text().splitlines()
    assert command.removeprefix("./") in [line.removeprefix("exec ").partition(" || ")[0] for line in lines]


def test_what_is_not_typed_is_still_there() -> None:
    everything = [command for page in PAGES for _, lines in blocks(page) for command in commands(lines)]
    assert [command for command in NOT_TYPED if command not in everything] == []
