"""Secrets as files, for images that can read a secret from a file, so that it is in no environment.

Decides which file contains which setting. The files are world-readable, because the user of an image has to read them,
but are in a directory that only its owner may enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graasp_local.files import write_atomically

SECRET_FILES: Mapping[str, str] = {
    "etherpad-api-key": "ETHERPAD_API_KEY",
    "graasp-db-password": "GRAASP_DB_PASSWORD",
    "maintenance-header-secret": "MAINTENANCE_HEADER_SECRET",
    "postgres-password": "POSTGRES_PASSWORD",
    "umami-db-password": "UMAMI_DB_PASSWORD",
}
"""The name of each file in `.graasp-local/secrets/`, which is that of the Compose secret, and the setting in it."""


def write_secret_files(directory: Path, values: Mapping[str, str]) -> None:
    """Write the secrets from `.env` into `directory`; writes only what differs."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, key in SECRET_FILES.items():
        file, text = directory / name, values[key]
        if not file.exists() or file.read_text() != text:
            write_atomically(file, text, mode=0o444)
