"""The shell that a command is started from: what it has closed, removed or exported changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graasp_local.cli.operating import interruptible
from graasp_local.cli.surroundings import forget_variables
from graasp_local.clock import InterruptionFlag
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.prepare import names_past_proxies

COMMAND = f"{sys.executable} -m graasp_local.cli.main"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_descriptors_change_no_exit_code(closed: str) -> None:
    assert subprocess.run(["sh", "-c", f"{COMMAND} --help {closed}"], capture_output=True).returncode == 0
    assert subprocess.run(["sh", "-c", f"{COMMAND} no-such-verb {closed}"], capture_output=True).returncode == 2


def test_a_removed_directory_does_not_matter_if_the_site_is_named(tmp_path: Path) -> None:
    init_site(tmp_path / "site", {}, demo=True)
    gone = tmp_path / "workspace"
    gone.mkdir()
    in_it = f"cd {gone} && rmdir {gone} && exec {COMMAND}"
    done = subprocess.run(
        ["sh", "-c", f"{in_it} --site {tmp_path / 'site'} config check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    gone.mkdir()
    done = subprocess.run(["sh", "-c", f"{in_it} config check"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "The directory that this command was started in was removed." in done.stderr


def test_whatever_the_locale_names_are_utf8(tmp_path: Path) -> None:
    init_site(tmp_path / "école", {}, demo=True)
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "graasp_local.cli.main", "--site", str(tmp_path / "école"), "config", "check"]
    done = subprocess.run(words, capture_output=True, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert "école" in (done.stdout + done.stderr).decode()


def test_what_nohup_ignores_interrupts_no_operation() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        flag = InterruptionFlag()
        with interruptible(flag):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not flag.requested
            os.kill(os.getpid(), signal.SIGTERM)
            assert flag.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "name",
    ["DOCKER_DEFAULT_PLATFORM", "DOCKER_API_VERSION", "PGOPTIONS", "PGSSLMODE", "PGSERVICE"]
    + [f"COMPOSE_{what}" for what in ("FILE", "PROJECT_NAME", "PROGRESS", "ANSI", "COMPATIBILITY", "STATUS_STDOUT")],
)
def test_variables_for_docker_are_forgotten(name: str) -> None:
    environment = {name: "x", "DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "y", "COMPOSE_PROFILES": "files"}
    forget_variables(environment)
    assert environment == {"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "y", "COMPOSE_PROFILES": "files"}


@pytest.mark.parametrize("umask", [0o027, 0o077, 0o000])
def test_whatever_the_umask_the_users_of_containers_read_what_is_mounted(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        site = init_site(tmp_path / "site", {}, demo=True)
    finally:
        os.umask(before)
    mounted = [*(site.stack_copy / "nginx").rglob("*"), site.stack_copy / "compose" / "database" / "10-databases.sh"]
    assert {file.stat().st_mode & 0o777 for file in mounted} <= {0o644, 0o755}
    assert site.own_directory.stat().st_mode & 0o777 == 0o700


def test_a_copy_that_an_earlier_command_made_unreadable_is_readable_again(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {}, demo=True)
    page = site.stack_copy / "nginx" / "html" / "maintenance.html"
    page.chmod(0o640)
    page.parent.chmod(0o750)
    prepare.prepare(site)
    assert (page.stat().st_mode & 0o777, page.parent.stat().st_mode & 0o777) == (0o644, 0o755)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (
            {"proxies": {"default": {"httpProxy": "http://proxy.example:3128", "noProxy": "s3.example, 10.0.0.0/8"}}},
            ",s3.example,10.0.0.0/8",
        ),
        ({"proxies": {"default": {"httpProxy": "http://proxy.example:3128"}}}, ""),
        ({"proxies": ["what is this"]}, ""),
        ({}, ""),
    ],
)
def test_what_the_docker_client_excepts_from_its_proxies_stays_excepted(
    tmp_path: Path, config: object, names: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert names_past_proxies({"DOCKER_CONFIG": str(tmp_path)}) == names
    shutil.rmtree(tmp_path)
    assert names_past_proxies({"DOCKER_CONFIG": str(tmp_path)}) == ""
