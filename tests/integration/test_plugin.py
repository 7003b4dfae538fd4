"""examples/plugin-tests, run from a wheel in an environment of its own; and what a killed run leaves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from graasp_local.engine.compose.belongings import belongings
from graasp_local.testing.recipe import CLAIM_LABEL
from tests.integration.demo_site import wait_for
from tests.unit.test_console_blocks import ROOT, from_page

INSTALL = from_page("testing.md", "python3 -m venv", ".venv/bin/pip install")
(PYTEST,) = from_page("testing.md", ".venv/bin/pytest")
LIST, CLEAN = from_page("testing.md", "python -m graasp_local.testing")


class Environment:
    """A fresh environment with a wheel, a suite in a directory of its own, and where its stacks are claimed."""

    def __init__(self, place: Path) -> None:
        self.python = place / ".venv" / "bin" / "python"
        self.suite = place / "suite"
        self.temporary = place / "tmp"
        self.temporary.mkdir()
        self.variables = {**os.environ, "TMPDIR": str(self.temporary)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-m", *words],
            cwd=self.suite,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, typed: str) -> str:
        """A command of the page, in the directory above the suite's and with its environment activated."""
        variables = {**self.variables, "PATH": f"{self.python.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            f"exec 2>&1; {typed}", shell=True, cwd=self.suite.parent, env=variables, stdout=subprocess.PIPE, timeout=540
        )
        return done.stdout.decode()

    def run(self, *words: str) -> str:
        return self.start(*words).communicate(timeout=540)[0]

    def on_engine(self) -> set[tuple[str, str]]:
        return {
            (item.kind, item.id)
            for item in belongings(CLAIM_LABEL)
            if item.labels[CLAIM_LABEL].startswith(str(self.temporary))
        }


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    place = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)], check=True
    )
    # The same versions as here, without the hashes that the wheel itself cannot have.
    pinned = [
        line.partition(" ")[0] for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if "==" in line
    ]
    (place / "constraints.txt").write_text("\n".join(pinned))
    made = Environment(place)
    # The wheel is found where an index would have it.
    found = {"PIP_FIND_LINKS": f"{place} {os.environ.get('PIP_FIND_LINKS', '')}".strip()}
    variables = {**os.environ, **found, "PIP_CONSTRAINT": str(place / "constraints.txt")}
    make, install = INSTALL

    def type_it(typed: str) -> None:
        subprocess.run(typed, shell=True, cwd=place, env=variables, check=True, stdout=subprocess.DEVNULL)

    type_it(make.replace("python3", sys.executable, 1))
    type_it(install.replace("[testing]", ""))
    without = subprocess.run([made.python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "graasp-local" in without
    assert not re.search(r"^(pytest|testcontainers) ", without, re.MULTILINE)
    type_it(install)
    subprocess.run([made.python, "-m", "pip", "install", "-qq", "pytest-xdist"], env=variables, check=True)
    shutil.copytree(ROOT / "examples" / "plugin-tests", made.suite)
    yield made
    made.run("graasp_local.testing", "--clean")


def test_the_example_is_green_with_two_workers_and_leaves_nothing(environment: Environment) -> None:
    said = environment.run("pytest", "-n", "2", "--graasp-version", "1.1.0")
    assert "4 passed" in said, said
    assert environment.on_engine() == set()


def test_a_killed_run_is_cleaned_up_and_an_idle_stack_reused(environment: Environment) -> None:
    killed = environment.start("pytest", "test_items.py")
    wait_for(lambda: "volume" in dict(environment.on_engine()), "the stack is being made")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    leftover = environment.on_engine()
    assert leftover
    assert "3 passed" in environment.run("pytest", "test_items.py", "--graasp-reuse")
    idle = environment.on_engine()
    assert idle
    assert not idle & leftover
    assert "3 passed" in environment.run("pytest", "test_items.py", "--graasp-reuse")
    assert environment.on_engine() == idle


def test_a_failed_test_shows_its_stack_and_keeps_it_if_asked_to(environment: Environment) -> None:
    (environment.suite / "test_failing.py").write_text(
        "def test_it(graasp_stack):\n    assert graasp_stack.state == ''\n"
    )
    said = environment.run("pytest", "test_failing.py", "--graasp-keep")
    assert "state running, gate open" in said, said
    assert "last operation: " in said
    assert "the end of the log of core:" in said
    opened = re.search(r"kept: graasp-local --site (\S+) status", said)
    assert opened is not None
    status = [environment.python, "-m", "graasp_local.cli.main", "--site", opened[1], "status"]
    assert "running" in subprocess.run(status, capture_output=True, text=True).stdout
    said = environment.run("graasp_local.testing", "--clean")
    assert said.count("removed gltest-") == 2  # the idle one too
    assert environment.on_engine() == set()


def test_the_first_test_of_the_page_is_green(environment: Environment) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    (example,) = re.findall(r"^ *```python\n((?:(?!```).)*def test_a_new_graasp_has_no_items.*?)```", page, re.M | re.S)
    shutil.rmtree(environment.suite)  # its tests would be collected too
    environment.suite.mkdir()
    (environment.suite.parent / "test_first.py").write_text(textwrap.dedent(example))
    said = environment.type(PYTEST)
    assert "1 passed" in said, said
    assert "Nothing is left" in environment.type(LIST)
    environment.type(CLEAN)
    assert environment.on_engine() == set()
