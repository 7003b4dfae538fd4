"""A file that the override gives to a service may be why nothing comes up: the rollback uses it as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_site import AS_BROWSER, DemoSite

GOOD, BAD = "true\n", "exit 1\n"

GIVEN: dict[str, dict[str, Any]] = {
    "file": {"services": {"core": {"volumes": ["./own/file:/file"]}}},
    "directory": {"services": {"core": {"volumes": ["./own/directory:/directory:ro"]}}},
    "secret": {
        "services": {"core": {"secrets": [{"source": "own", "target": "/secret"}]}},
        "secrets": {"own": {"file": "./own/secret"}},
    },
    "config": {
        "services": {"core": {"configs": [{"source": "own", "target": "/config"}]}},
        "configs": {"own": {"file": "./own/config"}},
    },
    "env-file": {"services": {"core": {"env_file": ["./own/env-file"]}}},
}
"""How core may be given the file that it runs before its program, and its name below `own`."""


def running_first(kinds: Sequence[str]) -> str:
    """A command for core that runs the files, given in these ways, before its own program."""
    runs = {"directory": ". /directory/start", "env-file": 'eval "$$START"'}
    return "; ".join([*(runs.get(kind, f". /{kind}") for kind in kinds), "exec dumb-init python3 core.py"])


def written(kind: str, content: str) -> str:
    return f"START={content}" if kind == "env-file" else content


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


def give(site: DemoSite, own: Path, *kinds: str) -> dict[str, Path]:
    """Let core run a file, given in each of these ways, before its own program; returns the files."""
    files = {kind: own / "directory" / "start" if kind == "directory" else own / kind for kind in kinds}
    for kind, file in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(written(kind, GOOD))
        site.amend_override(GIVEN[kind])
    site.amend_override({"services": {"core": {"command": ["bash", "-c", running_first(kinds)]}}})
    site.run("apply", "running")
    return files


def assert_served(site: DemoSite, version: str = "1.0.0") -> None:
    told = site.status()
    assert (told["gate"], told["version"]) == ("open", version)
    assert site.ask("/api/items", AS_BROWSER).status == 200
    assert site.item_names() == ["must survive"]


def test_their_content_is_spoiled_before_a_deployment(site: DemoSite, own: Path) -> None:
    """Whichever of them the rollback did not use as it was would keep core from starting."""
    files = give(site, own, "file", "directory", "secret", "env-file")
    for kind, file in files.items():
        file.write_text(written(kind, BAD))
    ended = site.deploy("1.1.0", code=20)
    names = "own/file, own/directory, own/env-file and own/secret"
    assert f"It runs with the settings from before {names} changed. Your change is still" in ended["problem"][1]
    assert_served(site)
    for kind, file in files.items():
        assert file.read_text() == written(kind, BAD)
    for kind, file in files.items():
        for other, another in files.items():
            another.write_text(written(other, BAD if other == kind else GOOD))
        assert site.status()["drift"], f"{file} in use is not the one that is there, and nothing says so"
    file.write_text(written(kind, GOOD))
    site.run("apply", "running")
    assert site.status()["drift"] == []
    assert not any("proven" in mount["Source"] for mount in site.containers()["core"]["Mounts"])


def test_it_disappears_while_the_gate_is_closed(site: DemoSite, own: Path) -> None:
    file = give(site, own, "file")["file"]
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
    mounted_at = ["/file", "/etc/hosts.deny", "/opt/new/start.conf"]
    site.amend_override({"services": {"core": {"volumes": [f"./own/file:{path}" for path in mounted_at]}}})
    file = give(site, own, "file")["file"]
    file.unlink()
    ended = site.deploy("1.1.0", code=10)
    assert str(file) in ended["problem"][0]
    assert_served(site)
    assert not file.exists()
    file.mkdir()  # as an engine does
    assert str(file) in site.deploy("1.1.0", code=10)["problem"][0]
    file.rmdir()


def test_one_that_is_named_is_gone_before_a_deployment(site: DemoSite, own: Path) -> None:
    for kind, file in give(site, own, "secret", "config", "env-file").items():
        file.unlink()
        ended = site.run("deploy", "--version", "1.1.0", code=2 if kind == "env-file" else 10)
        assert str(file) in ended.stderr
        assert_served(site)
        assert not file.exists()
        file.write_text(written(kind, GOOD))


def test_a_success_is_rolled_back_though_it_is_spoiled_now(site: DemoSite, own: Path) -> None:
    file = give(site, own, "file")["file"]
    site.deploy("1.1.0")
    file.write_text(BAD)
    done = site.run("rollback", "--yes", "--discard", "written-since")
    assert "Use the settings from before own/file changed" in done.stderr
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
