"""A wheel built from the checkout, installed into a fresh environment, deploys."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graasp-local command of an environment that never saw the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)], check=True
    )
    (wheel,) = place.glob("*.whl")
    venv.create(place / "environment", with_pip=True)
    python = place / "environment" / "bin" / "python"
    # The same versions as here, without the hashes that the wheel itself cannot have.
    pinned = [
        line.partition(" ")[0] for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if "==" in line
    ]
    (place / "constraints.txt").write_text("\n".join(pinned))
    subprocess.run(
        [python, "-m", "pip", "install", "-qq", "--constraint", str(place / "constraints.txt"), str(wheel)], check=True
    )
    return place / "environment" / "bin" / "graasp-local"


def test_it_has_its_stack_with_it(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run([installed, "init", "site"], check=True, capture_output=True)
    plan = subprocess.run(
        [installed, "--site", "site", "plan", "running", "--from", "stopped"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Start redis, core, workers" in plan.stdout


def test_it_deploys(installed: Path, tmp_path: Path) -> None:
    site = DemoSite(tmp_path / "site", command=[str(installed)])
    try:
        site.init_again()
        assert site.deploy("1.0.0")["outcome"] == "done"
        assert site.status()["state"] == "running"
        stack = site.directory / ".graasp-local" / "stack" / "nginx" / "entrypoint"
        assert (stack / "15-maintenance-header.envsh").stat().st_mode & 0o100
    finally:
        site.down()
