"""The engine that is killed is a private one: what the machine's engine runs continues during its kill and start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.matrix.matrix_site import MatrixSite
from tests.matrix.private_engine import PrivateEngine
from tests.matrix.record import Record


def bridges() -> set[str]:
    """The machine's own bridges, docker0 among them, by index: one that was recreated has another."""
    links = subprocess.run(["ip", "-o", "link", "show", "type", "bridge"], capture_output=True, text=True, check=True)
    return {link.split(": ")[0] for link in links.stdout.splitlines() if "docker0" in link}


@pytest.mark.representative
def test_the_machine_s_engine_is_not_disturbed(private_engine: PrivateEngine, site: MatrixSite, record: Record) -> None:
    record.did = "the private engine is killed, started, cut off as by the power, and started"
    harm: list[Callable[[], None]] = [
        private_engine.kill,
        private_engine.start,
        private_engine.cut_power,
        private_engine.start,
    ]
    before = bridges()
    for each in harm:
        each()
        assert site.ask("/api/version").status == 200
        assert bridges() == before
    record.saw = "a site on the machine's engine is served after each, and docker0 is the same"
