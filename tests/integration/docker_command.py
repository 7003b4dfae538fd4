"""The docker command, for what tests do to images."""

from __future__ import annotations

import subprocess


def docker(*words: str, text: str | None = None) -> str:
    """One docker command; fails the test unless it works."""
    done = subprocess.run(["docker", *words], input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"docker {words}: {done.stderr}"
    return done.stdout.strip()
