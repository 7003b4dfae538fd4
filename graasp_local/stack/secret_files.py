"""Secrets as files, for images that read a secret from a file: so it is in no environment.

Decides which file holds which settings. The files are readable by everybody, because the user of an image has to read
them, in a directory that only its owner may enter.
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
    """Make `directory` hold the secrets as `.env` has them; writes only what differs."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, key in SECRET_FILES.items():
        file, text = directory / name, values[key]
        if not file.exists() or file.read_text() != text:
            write_atomically(file, text, mode=0o444)
