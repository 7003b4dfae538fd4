"""Faults that a test causes in a site's containers."""

from __future__ import annotations

import subprocess
from contextlib import closing

from tests.matrix.matrix_site import MatrixSite
from tests.matrix.small_disk import AS_ROOT


def crash(site: MatrixSite, service: str, *, one_off: bool = False) -> None:
    """SIGKILL from outside: for the engine the service has crashed, so its restart policy applies."""
    process = site.containers(one_offs=one_off)[service]["State"]["Pid"]
    subprocess.run([*AS_ROOT, "kill", "-KILL", str(process)], check=True)


def kill(site: MatrixSite, service: str) -> None:
    """`docker kill`: the engine takes it as intended, and does not restart the service."""
    with closing(site.engine()) as client:
        client.api.kill(site.containers()[service]["Id"])
