"""What the pages have typed on a new server is typed on one: Debian 13 in a container, systemd its first process.

Its engine is the one of the tests, and its site is one of theirs: the pages' paths are links to it.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from graasp_local.testing.ports import free_port
from tests.checkout import ROOT, checkout
from tests.integration.authority import Files, self_signed
from tests.integration.demo_site import DemoSite, wait_for
from tests.integration.docker_command import docker
from tests.terminal import at_a_terminal
from tests.unit.test_console_blocks import from_page

ENGINE = from_page("install.md", "apt-get update", "apt-get install docker.io", "docker version")
PIPX = from_page("install.md", "apt-get install pipx", "PIPX_HOME=")
UPGRADE = from_page("operate.md", "PIPX_HOME=")
FOR_ONESELF = from_page("README.md", "pipx install")
CERTIFICATE = from_page("install.md", "systemctl ")
BACKUP = from_page("operate.md", "systemctl ")

# The machine's kernel and devices are not the container's to set up; the engine is started by the tests.
IMAGE = """\
FROM localhost/graasp-demo/debian:trixie
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends systemd \
  && cd /etc/systemd/system \
  && for unit in systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-remount-fs.service \
    systemd-firstboot.service systemd-udevd.service systemd-udev-trigger.service docker.socket containerd.service \
    proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount; \
  do ln -s /dev/null $unit; done \
  && printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n' > docker.service
"""
PLATFORMS = [f"manylinux_{glibc}_{platform.machine()}" for glibc in ("2_17", "2_28", "2_34")]
PLATFORMS.append(f"manylinux2014_{platform.machine()}")


class Machine:
    """A terminal on the new machine, as root, in a checkout."""

    def __init__(self, container: str) -> None:
        self.container = container

    def run(self, *words: str) -> str:
        return docker("exec", self.container, *words)

    def journal(self) -> str:
        """Why a unit failed."""
        return self.run("journalctl", "--no-pager", "--lines", "30", "--output", "cat")

    def type(self, typed: Sequence[str], *agreed: str) -> str:
        """Type the commands one after the other, up to one that fails, and "y" to what is asked in these words."""
        script = "\n".join(["set -e", *typed])
        words = ("docker", "exec", "-it", "-w", "/root/graasp-local", self.container, "bash", "-c", script)
        with at_a_terminal(*words, limit=540.0) as terminal:
            for question in agreed:
                terminal.answer(question, "y")
            assert terminal.end() == 0, f"{script}\nfailed:\n{terminal.said}\n{self.journal()}"
            return terminal.said


def wheels(place: Path) -> Path:
    """What pip installs on the new machine, fetched by the one here: the same versions as here, for Python 3.13."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    made = place / "wheels"
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, ROOT], check=True)
    (ours,) = made.glob("*.whl")
    pinned = re.findall(r"^\S+==\S+", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    (place / "constraints").write_text("\n".join(pinned))
    there: list[str] = ["--only-binary=:all:", "--python-version=3.13", *(f"--platform={name}" for name in PLATFORMS)]
    download = [*pip, "download", *there, "--constraint", str(place / "constraints"), "--dest", str(made)]
    subprocess.run([*download, str(ours), "hatchling", "pip", "setuptools", "wheel"], check=True, capture_output=True)
    ours.unlink()  # pipx makes it, from the checkout
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return self_signed(tmp_path_factory.mktemp("certificate"), "localhost")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, site: DemoSite) -> Iterator[Machine]:
    place = tmp_path_factory.mktemp("machine")
    image = docker("build", "--quiet", "-", text=IMAGE)
    name = f"gltest-machine-{uuid.uuid4().hex[:8]}"
    mounts = {
        "/run/docker.sock": "/run/docker.sock",
        str(site.directory.parent): str(site.directory.parent),
        str(wheels(place)): "/wheels",
        str(checkout(place / "graasp-local")): "/checkout",
    }
    try:
        docker(
            *(
                "run",
                "--detach",
                "--name",
                name,
                "--privileged",
                "--network",
                "host",
                "--tmpfs",
                "/run",
                "--tmpfs",
                "/tmp",
            ),
            *(word for ours, theirs in mounts.items() for word in ("--volume", f"{ours}:{theirs}")),
            *("--env", "container=docker", "--env", "DEBIAN_FRONTEND=noninteractive"),
            *(
                "--env",
                "PIP_NO_INDEX=1",
                "--env",
                "PIP_FIND_LINKS=/wheels",
                "--env",
                "PIP_NO_COMPILE=1",
                image,
                "/lib/systemd/systemd",
            ),
            # The last word lets it start where the kernel's control groups are of the first version.
            *("--unit=basic.target", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"),
        )
        machine = Machine(name)
        wait_for(lambda: "basic.target" in _active(name), "systemd has started")
        machine.run("cp", "-r", "/checkout", "/root/graasp-local")
        machine.run("ln", "-s", str(site.directory), "/srv/graasp")
        yield machine
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True)
        subprocess.run(["docker", "rmi", image], capture_output=True)


def _active(name: str) -> str:
    words = ["docker", "exec", name, "systemctl", "list-units", "--state=active", "--plain", "--no-legend"]
    return subprocess.run(words, capture_output=True, text=True).stdout


def units(page: str, verb: str) -> dict[str, str]:
    """The unit files of a page whose service runs this verb, by their paths."""
    text = (ROOT / "docs" / page).read_text()
    blocks = [
        re.sub(r"^ +", "", block, flags=re.MULTILINE) for block in re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    ]
    (service,) = (block for block in blocks if f" {verb}" in block)
    (timer,) = (block for block in blocks if "[Timer]" in block)
    return {
        f"/etc/systemd/system/graasp-{verb}.service": service,
        f"/etc/systemd/system/graasp-{verb}.timer": timer,
    }


def write(machine: Machine, files: dict[str, str]) -> None:
    for path, text in files.items():
        words = ["docker", "exec", "-i", machine.container, "sh", "-c", 'umask 077; cat > "$0"', path]
        subprocess.run(words, input=text, text=True, check=True)


def test_the_engine_is_installed_and_answers(machine: Machine) -> None:
    said = machine.type(ENGINE, "continue? [Y/n]")
    version, compose = said.split()[-2:]
    assert int(version.partition(".")[0]) >= 25
    assert tuple(int(part) for part in compose.split(".")[:2]) >= (2, 24)
    assert machine.run("git", "--version")


def test_graasp_local_is_installed_and_upgraded_with_one_command(machine: Machine) -> None:
    machine.type(PIPX, "continue? [Y/n]")
    assert machine.run("readlink", "-f", "/usr/local/bin/graasp-local").startswith("/opt/pipx/")
    machine.type(UPGRADE)
    assert "running" in machine.run("graasp-local", "--site", "/srv/graasp", "status")


def test_a_person_installs_it_for_oneself(machine: Machine) -> None:
    machine.type(FOR_ONESELF)
    assert machine.run("/root/.local/bin/graasp-local", "--version")


def test_the_timer_of_the_certificate_works(machine: Machine, site: DemoSite, files: Files) -> None:
    https = free_port()
    site.configure(
        TLS="files",
        TLS_CERTIFICATE=str(files.certificate),
        TLS_KEY=str(files.key),
        HTTPS_PORT=str(https),
        PUBLIC_URL=f"https://localhost:{https}",
        COOKIE_DOMAIN="localhost",
    )
    plan = site.run("apply", "running", "--dry-run").stdout
    assert "it runs with its old settings and does not answer at the address that .env names now" in plan
    site.run("apply", "running")
    write(machine, units("install.md", "certificate"))
    machine.run("mkdir", "-p", str(files.certificate.parent))
    write(machine, {str(file): file.read_text() for file in (files.certificate, files.key)})
    machine.type(CERTIFICATE)
    assert machine.run("systemctl", "is-enabled", "graasp-certificate.timer") == "enabled"
    assert machine.run("systemctl", "is-active", "graasp-certificate.timer") == "active"


def test_the_timer_of_the_backup_works(machine: Machine, site: DemoSite) -> None:
    write(machine, units("operate.md", "backup"))
    write(machine, {"/root/graasp-backup-passphrase": "correct horse battery staple\n"})
    said = machine.type(BACKUP)
    assert "verified" in said
    assert "Finished" in said
    assert machine.run("systemctl", "is-active", "graasp-backup.timer") == "active"
    assert list((site.directory / "backups").glob("0*/env.age"))
