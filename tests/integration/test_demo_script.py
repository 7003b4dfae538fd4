"""The demo of the README, typed in a copy of the checkout, with a port and a project of its own."""

from __future__ import annotations

import os
import subprocess
import urllib.request
import uuid
from pathlib import Path

from graasp_local.testing.ports import free_port
from tests.checkout import ROOT, checkout
from tests.integration.docker_command import docker
from tests.unit.test_console_blocks import from_page

UP, DOWN = from_page("README.md", "./scripts/demo")


def test_the_demo_is_deployed_twice_and_removed_without_a_trace(tmp_path: Path) -> None:
    here = checkout(tmp_path / "graasp-local")
    (here / ".venv").symlink_to(ROOT / ".venv")  # so that nothing has to be installed
    port, project = str(free_port()), f"gltest-{uuid.uuid4().hex[:8]}"

    def type_it(typed: str) -> str:
        done = subprocess.run(
            typed,
            shell=True,
            cwd=here,
            env={**os.environ, "PORT": port, "PROJECT": project},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{typed}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    try:
        assert "All items written before the migration are still there." in type_it(UP)
        with urllib.request.urlopen(f"http://localhost:{port}/api/version", timeout=30) as answer:
            assert b"1.1.0" in answer.read()
    finally:
        said = type_it(DOWN)
    assert "The demo is gone, its data included." in said
    assert not (here / ".demo").exists()
    assert docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}") == ""
    assert docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}") == ""
    assert docker("images", "--quiet", f"graasp-local/{project}") == ""
