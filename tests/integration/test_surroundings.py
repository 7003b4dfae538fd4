"""A first deployment from the worst of shells: what it exported, closed and removed changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

from tests.integration.demo_site import AS_BROWSER, COMMAND, DemoSite

PROXY = "http://proxy.invalid:3128"


def test_the_shell_that_a_command_is_started_from_decides_nothing(tmp_path: Path) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    proxies = {"httpProxy": PROXY, "httpsProxy": PROXY, "noProxy": "s3.example"}
    (config / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    before = os.umask(0o027)
    try:
        site = DemoSite(tmp_path / "site")
    finally:
        os.umask(before)
    exported = {
        "DOCKER_CONFIG": str(config),
        "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
        "COMPOSE_REMOVE_ORPHANS": "true",
        "LC_ALL": "tr_TR.UTF-8",
    }

    def from_there(*words: str) -> int:
        """From a directory that is gone, with nowhere to complain to."""
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        command = shlex.join([*COMMAND, "--site", str(site.directory), *words])
        script = f"umask 027; cd {workspace} && rmdir {workspace} && exec {command} 2>&-"
        environment = {**site.environment, "PYTHONPATH": str(Path(__file__).parents[2]), **exported}
        return subprocess.run(["sh", "-c", script], stdout=subprocess.DEVNULL, env=environment, timeout=300).returncode

    try:
        assert from_there("deploy", "--version", "1.0.0", "--yes") == 0
        assert from_there("apply", "restricted") == 0
        assert "We will be back" in site.ask("/maintenance", AS_BROWSER).body
        variables = site.containers()["core"]["Config"]["Env"]
        assert f"HTTP_PROXY={PROXY}" in variables
        assert [entry.endswith(",s3.example") for entry in variables if entry.startswith("NO_PROXY=")] == [True]
    finally:
        site.down()
