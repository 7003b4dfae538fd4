"""Every command in README and docs can be typed; console blocks that need no engine show what is printed.

A block that begins with ```` ```console offline ```` is carried out on a new demo site, and its output compared.
The others that show output are run by test_console_runs.py, on fake sites; those without output are typed on a real
site by tests/integration/test_console_blocks.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from tests.unit.test_help import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^ *```console(?P<marker>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"(?:^|[;&|(] *)((?:/opt/graasp-local/bin/|\.venv/bin/)?graasp-local [^;&|\n]*)")


def blocks(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Marker and lines of each console block of a page."""
    for found in BLOCK.finditer(page.read_text()):
        yield found["marker"].strip(), [line.strip() for line in found["text"].splitlines()]


def commands(lines: list[str]) -> list[str]:
    """What is typed in a block: the lines after a prompt, without the comment at their end."""
    typed = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
    return [re.sub(r" {2,}# .*", "", line) for line in typed]


FROM_PAGES: set[tuple[str, str]] = set()
"""Page and command of all that `from_page` gave to the tests that were imported."""


def from_page(page: str, *starts: str) -> list[str]:
    """The commands of a page that begin so, in their order, for a test that types them: each start must be there."""
    (found,) = (file for file in PAGES if file.name == page)
    everything = [command for _, lines in blocks(found) for command in commands(lines)]
    for start in starts:
        assert any(command.startswith(start) for command in everything), f"{page} has no command {start} any more"
    chosen = [command for command in everything if command.startswith(starts)]
    FROM_PAGES.update((page, command) for command in chosen)
    return chosen


def mentioned(page: Path) -> Iterator[str]:
    """Commands in a sentence, STATE being any; a verb alone is only named. And those of systemd's units."""
    text = page.read_text()
    for command in re.findall(r"`(graasp-local [a-z-]+ [^`\n]+)`", text):
        if "…" not in command and "--help" not in command:
            yield command.replace(" STATE", " running")
    yield from re.findall(r"^ *ExecStart(?:Post)?=/usr/local/bin/(graasp-local .*)$", text, re.MULTILINE)


def judged(command: str) -> None:
    """Have the command line judge a command without carrying it out. Raises click.UsageError."""
    words = shlex.split(re.sub(r" \d?>\S*.*", "", command))[1:]
    while words and words[0].startswith("--site"):
        words = words[2:]
    if not words or words[0] in ("--version", "--help"):
        return
    verb = cli.get_command(click.Context(cli), words[0])
    assert verb is not None, command
    name, rest = words[0], words[1:]
    if isinstance(verb, click.Group) and rest and rest[0] in verb.commands:
        verb, rest = verb.commands[rest[0]], rest[1:]
    parse(name, verb, rest)


TYPED = [
    pytest.param(command, id=f"{page.name}: {command}")
    for page in PAGES
    for _, lines in blocks(page)
    for line in commands(lines)
    for command in OURS.findall(line)
] + [pytest.param(command, id=f"{page.name}: {command}") for page in PAGES for command in mentioned(page)]


def test_there_are_commands_in_the_pages() -> None:
    assert len(TYPED) > 50


@pytest.mark.parametrize("command", TYPED)
def test_a_command_of_the_pages_can_be_typed(command: str) -> None:
    judged(command)


@pytest.mark.parametrize("command", ["graasp-local deploy --version 1.0.0 --no-such", "graasp-local apply nonsense"])
def test_a_command_that_went_stale_is_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        judged(command)


def test_every_script_that_is_typed_is_there() -> None:
    words = [line.split()[0] for page in PAGES for _, lines in blocks(page) for line in commands(lines) if line.split()]
    scripts = {word.removeprefix("./") for word in words if word.removeprefix("./").startswith("scripts/")}
    assert scripts
    assert [script for script in sorted(scripts) if not (ROOT / script).exists()] == []


OFFLINE = [
    pytest.param(lines, id=f"{page.name}: {commands(lines)[0]}")
    for page in PAGES
    for marker, lines in blocks(page)
    if marker == "offline"
]


@pytest.mark.parametrize("lines", OFFLINE)
def test_a_block_that_needs_no_engine_shows_what_is_printed(lines: list[str], tmp_path: Path) -> None:
    site = str(tmp_path / "graasp")
    made = CliRunner().invoke(cli, ["init", site, "--demo", "--project", "graasp", "--port", "8080"])
    assert made.exit_code == 0, made.output
    printed: list[str] = []
    for command in commands(lines):
        printed.append(f"$ {command}")
        told = CliRunner().invoke(cli, ["--site", site, *shlex.split(command)[1:]])
        printed += [line.strip() for line in told.output.splitlines()]
    assert lines == printed


def test_there_is_a_block_that_needs_no_engine() -> None:
    assert OFFLINE
