"""A file that the override gives to a service may be why nothing comes up: the rollback uses it as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_site import AS_BROWSER, DemoSite

GOOD, BAD = "true\n", "exit 1\n"

GIVEN: dict[str, dict[str, Any]] = {
    "a file": {"services": {"core": {"volumes": ["./own/start:/start"]}}},
    "a directory that is only read": {"services": {"core": {"volumes": ["./own:/own:ro"]}}},
    "a secret": {
        "services": {"core": {"secrets": [{"source": "start", "target": "/start"}]}},
        "secrets": {"start": {"file": "./own/start"}},
    },
    "a config": {
        "services": {"core": {"configs": [{"source": "start", "target": "/start"}]}},
        "configs": {"start": {"file": "./own/start"}},
    },
    "an env file": {"services": {"core": {"env_file": ["./own/start"]}}},
}
"""How core may be given the file that it runs before its program."""


def running_first(kind: str) -> str:
    """A command for core that runs the file, given in this way, before its own program."""
    runs = {"a directory that is only read": ". /own/start", "an env file": 'eval "$$START"'}
    return f"{runs.get(kind, '. /start')}; exec dumb-init python3 core.py"


def written(kind: str, content: str) -> str:
    return f"START={content}" if kind == "an env file" else content


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    site = DemoSite(tmp_path_factory.mktemp("mounted") / "site")
    try:
        site.deploy("1.0.0")
        site.create_item("must survive")
        yield site
    finally:
        site.down()


@pytest.fixture
def own(site: DemoSite) -> Iterator[Path]:
    """A directory for files of a person; it, and what the test has changed in the override, are gone afterwards."""
    override, directory = site.directory / "compose.override.yaml", site.directory / "own"
    text = override.read_text()
    directory.mkdir()
    yield directory
    override.write_text(text)
    site.run("apply", "running")
    shutil.rmtree(directory)
    assert (site.status()["state"], site.status()["drift"]) == ("running", [])


def give(site: DemoSite, own: Path, kind: str) -> Path:
    """Let core run a file, given in this way, before its own program; returns the file."""
    file = own / "start"
    file.write_text(written(kind, GOOD))
    site.amend_override(GIVEN[kind])
    site.amend_override({"services": {"core": {"command": ["bash", "-c", running_first(kind)]}}})
    site.run("apply", "running")
    return file


def assert_served(site: DemoSite, version: str = "1.0.0") -> None:
    told = site.status()
    assert (told["gate"], told["version"]) == ("open", version)
    assert site.ask("/api/items", AS_BROWSER).status == 200
    assert site.item_names() == ["must survive"]


@pytest.mark.parametrize("kind", ["a file", "a directory that is only read", "a secret", "an env file"])
def test_its_content_is_spoiled_before_a_deployment(site: DemoSite, own: Path, kind: str) -> None:
    file = give(site, own, kind)
    file.write_text(written(kind, BAD))
    ended = site.deploy("1.1.0", code=20)
    name = "own" if kind == "a directory that is only read" else "own/start"
    assert f"It runs with the settings from before {name} changed. Your change is still" in ended["problem"][1]
    assert_served(site)
    assert file.read_text() == written(kind, BAD)
    assert site.status()["drift"], "the file in use is not the one that is there, and nothing says so"
    file.write_text(written(kind, GOOD))
    site.run("apply", "running")
    assert site.status()["drift"] == []
    assert not any("proven" in mount["Source"] for mount in site.containers()["core"]["Mounts"])


def test_it_disappears_while_the_gate_is_closed(site: DemoSite, own: Path) -> None:
    file = give(site, own, "a file")
    running = site.start("deploy", "--version", "1.3.0-migration-fails")
    assert running.stderr is not None
    for line in running.stderr:
        if "✓ Close the gate" in line:
            file.unlink()
            break
    _, said = running.communicate()
    assert running.returncode == 20, said
    assert_served(site)
    assert not file.exists(), "an empty directory is where the file was"


def test_it_is_gone_before_a_deployment(site: DemoSite, own: Path) -> None:
    mounted_at = ["/start", "/etc/hosts.deny", "/opt/new/start.conf"]
    site.amend_override({"services": {"core": {"volumes": [f"./own/start:{path}" for path in mounted_at]}}})
    file = give(site, own, "a file")
    file.unlink()
    ended = site.deploy("1.1.0", code=10)
    assert str(file) in ended["problem"][0]
    assert_served(site)
    assert not file.exists()
    file.mkdir()  # as an engine does
    assert str(file) in site.deploy("1.1.0", code=10)["problem"][0]
    file.rmdir()


@pytest.mark.parametrize("kind", ["a secret", "a config", "an env file"])
def test_one_that_is_named_is_gone_before_a_deployment(site: DemoSite, own: Path, kind: str) -> None:
    file = give(site, own, kind)
    file.unlink()
    ended = site.run("deploy", "--version", "1.1.0", code=2 if kind == "an env file" else 10)
    assert str(file) in ended.stderr
    assert_served(site)
    assert not file.exists()


def test_a_success_is_rolled_back_though_it_is_spoiled_now(site: DemoSite, own: Path) -> None:
    file = give(site, own, "a file")
    site.deploy("1.1.0")
    file.write_text(BAD)
    done = site.run("rollback", "--yes", "--discard", "written-since")
    assert "Use the settings from before own/start changed" in done.stderr
    assert_served(site)


def test_a_configuration_that_nginx_refuses(site: DemoSite, own: Path) -> None:
    file = own / "extra.conf"
    file.write_text("# nothing yet\n")
    site.amend_override({"services": {"nginx": {"volumes": ["./own/extra.conf:/etc/nginx/conf.d/99-extra.conf:ro"]}}})
    site.run("apply", "running")
    file.write_text("no_such_directive on;\n")
    site.deploy("1.1.0")  # nginx goes on as it is
    site.run("rollback", "--yes", "--discard", "written-since")
    assert_served(site)
    site.run("apply", "stopped")
    assert "no_such_directive" in site.run("apply", "running", code=10).stderr
