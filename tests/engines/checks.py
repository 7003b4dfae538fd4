"""The short list: what is done on each engine, on one demo site. Each check raises what it finds wrong."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.integration.demo_site import DemoSite

FAILS = "1.3.0-migration-fails"
CORE = "localhost/graasp-demo/graasp:core-v1.1.0"


def states(site: DemoSite) -> None:
    site.deploy("1.0.0")
    for state in ("restricted", "db-only", "stopped", "running"):
        site.run("apply", state)
        assert site.status()["state"] == state, f"{site.status()} instead of {state}"


def deployment(site: DemoSite) -> None:
    site.create_item("before")
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert site.ask("/api/items").status == 200


def failing_migration(site: DemoSite) -> None:
    ended = site.deploy(FAILS, code=20)
    assert (ended["outcome"], ended["version"]) == ("rolled-back", "1.1.0")
    assert site.item_names() == ["before"]


def rollback_of_a_success(site: DemoSite) -> None:
    site.deploy("1.2.0")
    site.run("rollback", "--yes", "--discard", "written-since")
    assert site.status()["version"] == "1.1.0"


def moved_tag_and_rollback(site: DemoSite) -> None:
    served = _images(site)
    source = f"FROM {CORE}\nLABEL build={uuid.uuid4().hex}\n"
    words = ["docker", "build", "--quiet", "--tag", CORE, "-"]
    subprocess.run(words, input=source, text=True, check=True, capture_output=True, env=site.environment)
    assert site.deploy(FAILS, code=20)["version"] == "1.1.0"
    assert _images(site) == served


def backup_and_restore(site: DemoSite) -> None:
    site.run("backup")
    names = [path.name for path in (site.directory / "backups").iterdir() if path.name[0].isdigit()]
    site.create_item("after")
    site.run("restore", sorted(names)[-1], "--discard", "current-data")
    assert site.item_names() == ["before"]


def images_as_a_file(site: DemoSite) -> None:
    file = Path(site.directory) / "images"
    site.run("images", "save", "1.2.0", str(file))
    name = "localhost/graasp-demo/graasp:migrate-v1.2.0"
    subprocess.run(["docker", "rmi", name], check=True, capture_output=True, env=site.environment)
    site.run("images", "load", str(file), on_site=False)
    subprocess.run(["docker", "image", "inspect", name], check=True, capture_output=True, env=site.environment)


def _images(site: DemoSite) -> dict[str, str]:
    return {name: found["Image"] for name, found in site.containers().items()}


CHECKS: dict[str, Callable[[DemoSite], None]] = {
    "states": states,
    "deployment": deployment,
    "failing migration": failing_migration,
    "rollback of a success": rollback_of_a_success,
    "moved tag, rollback": moved_tag_and_rollback,
    "backup, restore": backup_and_restore,
    "images save, load": images_as_a_file,
}
"""In this order: each finds the site as the one before has left it."""
