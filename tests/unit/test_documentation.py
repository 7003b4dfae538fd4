"""What people can type or meet is documented, from verbs to demo versions; and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from graasp_local.cli.main import cli
from graasp_local.errors import ExitCode
from graasp_local.journal import events
from graasp_local.journal.events import Outcome
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import START_ORDER, Gate, Health, InfraState, ServiceGroup, Status
from graasp_local.planning.steps import Step
from graasp_local.settings import ALL, OPTIONS, Option
from graasp_local.settings.reference import with_tables
from graasp_local.settings.table import is_own
from graasp_local.tls.renew import DEFAULT_DIRECTORY
from graasp_local.verbs import COMMAND_LINE_VERBS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
RECOVER = ROOT / "docs" / "recover.md"
REFERENCE = ROOT / "docs" / "reference.md"
DEMO_IMAGES = ROOT / "scripts" / "demo-images" / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), DEMO_IMAGES])

FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its examples."""
    return FENCED.sub("", page.read_text())


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """Heading and text of every section."""
    _, *parts = re.split(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    yield from zip(parts[::2], parts[1::2], strict=True)


def about_verb(verb: str) -> str:
    """What the reference says under the headings that begin with a verb."""
    return "\n".join(text for heading, text in sections(REFERENCE) if re.match(rf"`{verb}\b", heading))


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with what is typed for it; those below a verb too (`config check`)."""
    context = click.Context(cli)
    for verb in COMMAND_LINE_VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        yield verb, command
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", below) for name, below in command.commands.items())


def options() -> list[tuple[str, str]]:
    """Every spelling of every option, with its verb."""
    return [
        (verb, spelling)
        for verb, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in parameter.opts
    ]


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked to by."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading, _ in sections(page)}


@pytest.mark.parametrize("verb", [verb for verb, _ in commands()])
def test_every_verb_is_in_the_reference(verb: str) -> None:
    assert f"graasp-local {verb}" in about_verb(verb.partition(" ")[0])


@pytest.mark.parametrize(("verb", "option"), options())
def test_every_option_is_in_the_reference_under_its_verb(verb: str, option: str) -> None:
    assert f"`{option}`" in about_verb(verb.partition(" ")[0])


@pytest.mark.parametrize("option", [o for p in cli.params if isinstance(p, click.Option) for o in p.opts])
def test_every_option_before_the_verb_is_in_the_reference(option: str) -> None:
    assert f"`{option}`" in dict(sections(REFERENCE))["Commands"]


@pytest.mark.parametrize("page", [README, RECOVER, REFERENCE], ids=lambda page: page.name)
@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_has_a_row(code: ExitCode, page: Path) -> None:
    assert f"\n| {code.value} | " in prose(page)


def test_the_tables_of_settings_are_made_from_the_table_of_settings() -> None:
    assert with_tables(REFERENCE.read_text()) == REFERENCE.read_text(), "run scripts/settings-reference"


def stack_defaults() -> dict[str, str]:
    """Every variable of the compose files, with the default that it has there."""
    names = ("compose.yaml", "tls.yaml", "external.yaml", "swarm.yaml")
    text = "".join((ROOT / "compose" / name).read_text() for name in names)
    return {key: default or "" for key, default in re.findall(r"\$\{([A-Z0-9_]+)(?::-([^${}]*))?", text)}


def test_every_variable_of_the_stack_is_a_setting() -> None:
    variables = {key for key in stack_defaults() if not is_own(key)}
    assert variables - {item.key for item in ALL} == set()


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.default], ids=lambda option: option.key)
def test_the_default_of_an_option_is_the_one_of_the_stack(option: Option) -> None:
    assert {**stack_defaults(), "ACME_DIRECTORY": DEFAULT_DIRECTORY}[option.key] == option.default


def test_every_demo_version_is_in_the_list() -> None:
    script = (ROOT / "scripts" / "build-demo-images").read_text()
    built = set(re.findall(r"^ *version (\d\S+)", script, flags=re.MULTILINE))
    listed = set(re.findall(r"^\| `(\d[^`]+)` \|", DEMO_IMAGES.read_text(), flags=re.MULTILINE))
    assert built == listed


@pytest.mark.parametrize(
    "word",
    [
        *re.findall(r'"event": "([a-z-]+)"', Path(events.__file__).read_text()),
        *Outcome,
        *InfraState,
        *ServiceGroup,
        *Gate,
        *Status,
        *Health,
        *(f"{does}-{group}" for does in ("stop", "start") for group in START_ORDER),
        "start-writers",
        *(f"prove-{gate.in_words}" for gate in Gate if gate is not Gate.UNKNOWN),
        *(f"{does}-{side}" for does in ("prove", "lead-to", "drain") for side in Side),
        *(kind.name for kind in get_args(Step) if isinstance(kind.name, str)),
    ],
)
def test_every_word_that_programs_read_is_in_the_reference(word: str) -> None:
    assert f"`{word}`" in prose(REFERENCE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_file_that_contributors_are_sent_to_is_there() -> None:
    named = re.findall(r"`((?:graasp_local|compose|nginx|scripts|tests)/[\w./-]*)`", prose(ROOT / "CONTRIBUTING.md"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
