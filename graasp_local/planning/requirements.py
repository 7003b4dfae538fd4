"""What an operation requires of the engine and the disk, in numbers. Pure."""

from __future__ import annotations

OLDEST_ENGINE = (25, 0)
"""Docker Engine 25 is the first with start_interval in health checks."""

OLDEST_COMPOSE = (2, 24)

FREE_BYTES_FOR_WORK = 1024**3
"""What an operation needs besides images: journal, logs, and the space that Postgres takes while it migrates."""

FREE_BYTES_PER_IMAGE = 1024**3
"""Graasp's images are between 0.3 and 1 GiB each, unpacked."""
