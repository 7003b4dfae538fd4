"""What a stack for tests is made of, and what is refused before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from graasp_local.errors import UsageError
from graasp_local.stack.services import read_services, stack_directory
from graasp_local.testing import GraaspStack
from graasp_local.testing.operations import environment_kept
from graasp_local.testing.recipe import (
    Recipe,
    Source,
    as_yaml,
    merged,
    override_of,
    read_override,
    refuse_names,
    refuse_settings,
)

LABELS = {"org.graasp.testing.claim": "/claim"}
BASE = stack_directory() / "compose" / "compose.yaml"
DEMO = read_override(stack_directory() / "compose" / "demo.override.yaml")


def override(recipe: Recipe) -> dict[str, Any]:
    files = read_override(BASE)
    networks = {name: f"198.18.{number}.0/27" for number, name in enumerate(files["networks"])}
    return override_of(recipe, DEMO, LABELS, files["services"], files["volumes"], networks)


def test_everything_of_a_stack_says_which_test_run_it_is() -> None:
    own = {"services": {"mine": {"image": "mine", "labels": ["org.graasp.group=graasp"]}}, "volumes": {"mine": None}}
    content = override(Recipe(overrides=(own,)))
    files = read_override(BASE)
    for kind in ("services", "volumes", "networks"):
        assert content[kind].keys() >= files[kind].keys()
        for name, definition in content[kind].items():
            assert definition["labels"].items() >= LABELS.items(), name
    assert content["services"]["mine"]["labels"]["org.graasp.group"] == "graasp"
    assert "mine" in content["volumes"]


def test_the_override_is_a_compose_file_that_graasp_local_reads(tmp_path: Path) -> None:
    file = tmp_path / "compose.override.yaml"
    file.write_text(as_yaml(override(Recipe())))
    assert read_services([BASE, file]) != ()
    assert {service.name for service in read_services([BASE, file])} == {s.name for s in read_services([BASE])}


def test_every_network_has_addresses_outside_of_the_engines_pool_unless_the_test_gives_some() -> None:
    theirs = {"networks": {"back": {"ipam": {"config": [{"subnet": "10.9.8.0/24"}]}}}}
    networks = override(Recipe(overrides=(theirs,)))["networks"]
    subnets = {name: definition["ipam"]["config"][0]["subnet"] for name, definition in networks.items()}
    assert subnets.pop("back") == "10.9.8.0/24"
    assert len({*subnets.values()}) == len(read_override(BASE)["networks"]) - 1
    assert all(subnet.startswith("198.18.") for subnet in subnets.values())


def test_an_image_of_your_own_has_the_health_check_of_the_real_one() -> None:
    assert "healthcheck" in override(Recipe())["services"]["core"]
    assert "healthcheck" not in override(Recipe(images={"core": "mine"}))["services"]["core"]
    assert "healthcheck" not in override(Recipe(source=Source.REGISTRY))["services"]["core"]


def test_the_database_waits_for_no_disk_unless_the_test_says_what_it_runs() -> None:
    assert "fsync=off" in override(Recipe())["services"]["db"]["command"]
    theirs = {"services": {"db": {"command": ["postgres", "-c", "log_statement=all"]}}}
    assert override(Recipe(overrides=(theirs,)))["services"]["db"]["command"] == theirs["services"]["db"]["command"]
    assert "command" not in override(Recipe(images={"db": "mine"}))["services"]["db"]


def test_a_shared_network_joins_what_others_ask_and_what_asks_others() -> None:
    content = override(Recipe(network="theirs"))
    assert content["networks"]["shared"] == {"external": True, "name": "theirs"}
    joined = {name for name, definition in content["services"].items() if "shared" in definition.get("networks", {})}
    assert joined == {"nginx", "core", "workers"}
    assert content["services"]["nginx"]["networks"]["shared"] == {"aliases": ["graasp"]}


@pytest.mark.parametrize(
    ("base", "other", "both"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"ports": ["1"]}, {"ports": ["2", "1"]}, {"ports": ["1", "2"]}),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        ({"environment": ["A=1", "B"]}, {"environment": {"A": "2"}}, {"environment": {"A": "2", "B": None}}),
        ({"environment": {"A": "1"}}, {"environment": ["A=2"]}, {"environment": {"A": "2"}}),
        ({"networks": ["front"]}, {"networks": {"shared": {}}}, {"networks": {"front": None, "shared": {}}}),
    ],
)
def test_two_files_are_merged_as_compose_does_it(
    base: dict[str, Any], other: dict[str, Any], both: dict[str, Any]
) -> None:
    assert merged(base, other) == both


def test_a_file_keeps_composes_own_tags_and_finds_what_it_mounts(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("services:\n  core:\n    ports: !reset []\n    volumes: ['./data:/data', 'named:/x']\n")
    content = read_override(file)
    assert content["services"]["core"]["volumes"] == [f"{tmp_path}/data:/data", "named:/x"]
    assert "ports: !reset []" in as_yaml(merged({"services": {}}, content))


def test_a_file_that_is_not_a_compose_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1")
    (tmp_path / "broken.yaml").write_text("a: [")
    for name in ("list.yaml", "broken.yaml", "missing.yaml"):
        with pytest.raises(UsageError, match=name):
            GraaspStack().with_override(tmp_path / name)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("LOGLEVEL", "Did you mean LOG_LEVEL"),
        ("COMPOSE_PROJECT_NAME", "set by the stack"),
        ("GRAASP_VERSION", "set by"),
    ],
)
def test_a_setting_that_nothing_would_read_is_refused(key: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        refuse_settings({key: "x"}, ())


def test_a_setting_may_be_one_that_the_override_reads() -> None:
    refuse_settings(
        {"LOG_LEVEL": "debug", "MY_OWN": "x"}, ({"services": {"core": {"environment": {"A": "${MY_OWN}"}}}},)
    )


def test_a_name_that_the_files_do_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no profile mailpitt\. Did you mean mailpit"):
        refuse_names("profile", ["mailpitt"], ["mailpit", "admin"])


@pytest.mark.parametrize("word", ["up", "", "Running", "drifted"])
def test_an_unknown_state_is_refused_at_once(word: str) -> None:
    with pytest.raises(UsageError, match="is not a state") as caught:
        GraaspStack().with_state(word)
    assert "Use one of running, restricted, db-only and stopped." in caught.value.__notes__


def test_an_invalid_version_or_source_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="is not a version"):
        GraaspStack().with_version("latest")
    with pytest.raises(UsageError, match="is not a source of images"):
        GraaspStack().with_images("hub")


def test_what_is_asked_of_a_stack_that_is_not_started_is_named() -> None:
    with pytest.raises(UsageError, match="not started"):
        GraaspStack().get_url()
    GraaspStack().stop()


def test_equal_recipes_have_one_fingerprint() -> None:
    one = Recipe(settings={"A": "1", "B": "2"}).fingerprint(b"stack", "0.1.0")
    assert one == Recipe(settings={"B": "2", "A": "1"}).fingerprint(b"stack", "0.1.0")
    others = {
        Recipe(settings={"A": "1"}).fingerprint(b"stack", "0.1.0"),
        Recipe(settings={"A": "1", "B": "2"}).fingerprint(b"other", "0.1.0"),
        Recipe(settings={"A": "1", "B": "2"}).fingerprint(b"stack", "0.2.0"),
    }
    assert one not in others
    assert len(others) == 3


def test_the_process_gets_its_environment_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    with environment_kept():
        with environment_kept():
            del os.environ["LOG_LEVEL"]
            os.environ["GRAASP_LOCAL_WORKS_ON"] = "/site"
        assert "LOG_LEVEL" not in os.environ  # the outer one is at work still
    assert os.environ["LOG_LEVEL"] == "debug"
    assert "GRAASP_LOCAL_WORKS_ON" not in os.environ


def test_a_stack_is_imported_without_pytest_testcontainers_or_docker() -> None:
    heavy = ("pytest", "testcontainers", "docker", "psycopg", "textual")
    script = f"import sys, graasp_local.testing; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_yaml_of_a_stack_has_no_anchors() -> None:
    assert "&id" not in as_yaml(override(Recipe()))
    assert yaml.safe_load(as_yaml({"a": LABELS, "b": LABELS})) == {"a": LABELS, "b": LABELS}
