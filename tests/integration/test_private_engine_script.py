"""scripts/private-engine: engines that are damaged by tests disturb neither the machine's engine nor each other."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.matrix.private_engine import SCRIPT


def test_it_takes_no_addresses_that_another_engine_has(tmp_path: Path) -> None:
    checksum = subprocess.run(["cksum"], input=f"{tmp_path}\n", capture_output=True, text=True, check=True).stdout
    derived = 64 + int(checksum.split()[0]) % 128
    other = f"taken{derived}"
    subprocess.run(["ip", "link", "add", "name", other, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"10.{derived}.255.1/24", "dev", other], check=True)
        subprocess.run([SCRIPT, "start", tmp_path], check=True, timeout=180, stdout=subprocess.DEVNULL)
        subprocess.run([SCRIPT, "stop", tmp_path], check=True, timeout=180)
    finally:
        subprocess.run(["ip", "link", "delete", other], check=True)
    chosen = (tmp_path / "pool").read_text()
    assert chosen.startswith("10.")
    assert chosen != f"10.{derived}.0.0/16\n"
