"""docs/testing.md names what there is, and its configurations are ones."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml

from graasp_local.testing import Factory, GraaspStack, plugin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)

FOR_WAITING_STRATEGIES = {
    "get_container_host_ip",
    "get_exposed_port",
    "get_wrapped_container",
    "get_logs",
    "reload",
    "status",
}
OF_THE_PLUGIN = {"with_recipe", "is_started", "has_snapshot"}


def public(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


@pytest.mark.parametrize("name", sorted({*public(GraaspStack)} - FOR_WAITING_STRATEGIES - OF_THE_PLUGIN))
def test_everything_of_a_stack_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


@pytest.mark.parametrize("name", public(Factory))
def test_every_factory_is_documented(name: str) -> None:
    assert f"factory.{name}(" in PAGE


@pytest.mark.parametrize("name", ["graasp_stack", "graasp_session", "graasp_reset", "graasp_configure"])
def test_every_fixture_is_documented(name: str) -> None:
    assert hasattr(plugin, name)
    assert f"| `{name}` |" in PAGE


def test_every_option_is_documented() -> None:
    options = re.findall(r'"(--graasp-\w+)"', inspect.getsource(plugin))
    assert len(options) == 4
    for option in options:
        assert re.search(rf"^\| `{option}\b", PAGE, re.MULTILINE), option


def test_every_word_of_the_marker_is_documented() -> None:
    words = re.search(r"graasp\((.*?)\)", plugin._MARKER)
    assert words is not None
    example = re.search(r"`@pytest\.mark\.graasp\((.*?)\)`", PAGE)
    assert example is not None
    assert re.findall(r"(\w+)=", example[1]) == words[1].split(", ")


@pytest.mark.parametrize("heading", ["On GitHub Actions", "On GitLab"])
def test_a_configuration_to_copy_is_one(heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    content = yaml.safe_load(text)
    jobs = content.get("jobs", content)
    commands = [
        command
        for job in jobs.values()
        for command in [step.get("run", "") for step in job.get("steps", [])] + job.get("script", [])
    ]
    assert any("graasp-local[testing]" in command for command in commands)
    assert any("pytest --graasp-" in command for command in commands)


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "python"])
def test_every_example_is_python(text: str) -> None:
    compile(inspect.cleandoc(f"\n{text}"), "docs/testing.md", "exec")
