"""The engine's inspection of a container in readable form, with every secret masked. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from graasp_local.engine.containers.services import SERVICE_LABEL
from graasp_local.ports.live import ContainerDetail, HealthAnswer

MASK = "••••••"
_SECRET_NAME = re.compile(r"SECRET|PASS|TOKEN|PRIVATE|CREDENTIAL|SALT|(^|_)KEY($|_)", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
_SHORTEST_SECRET = 6


def detail_of(said: Mapping[str, Any], secrets: Collection[str]) -> ContainerDetail:
    """`secrets` are values to mask wherever they appear, under any name."""
    config, state, host = said["Config"], said["State"], said.get("HostConfig", {})
    health = state.get("Health") or {}
    check = config.get("Healthcheck") or {}
    return ContainerDetail(
        service=config.get("Labels", {}).get(SERVICE_LABEL, ""),
        image=str(config.get("Image", "")),
        digest=str(said.get("Image", "")),
        status=str(state.get("Status", "")),
        health=str(health.get("Status", "")),
        started_at=seconds_since_1970(str(state.get("StartedAt", ""))),
        restarts=int(said.get("RestartCount", 0)),
        failing_streak=int(health.get("FailingStreak", 0)),
        retries=int(check.get("Retries") or 0),
        start_seconds=int(check.get("StartPeriod") or 0) / 1e9,
        answers=tuple(
            HealthAnswer(int(each["ExitCode"]), masked(str(each["Output"]).strip(), secrets), str(each["End"]))
            for each in health.get("Log") or ()
        ),
        memory_limit=int(host.get("Memory") or 0),
        environment=tuple(
            (
                name,
                MASK if value and _SECRET_NAME.search(name) and not name.endswith("_FILE") else masked(value, secrets),
            )
            for name, _, value in (entry.partition("=") for entry in sorted(config.get("Env") or ()))
        ),
        mounts=tuple(
            f"{mount.get('Name') or mount.get('Source') or mount.get('Type', '')} → {mount['Destination']}"
            + ("" if mount.get("RW", True) else " (read only)")
            for mount in said.get("Mounts") or ()
        ),
        networks=tuple(
            f"{name} {network['IPAddress']}".strip()
            for name, network in (said.get("NetworkSettings", {}).get("Networks") or {}).items()
        ),
    )


def masked(text: str, secrets: Collection[str]) -> str:
    """The text without any of the secrets, and without passwords in addresses."""
    # Longest first: one may be part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _IN_ADDRESS.sub(rf"\1{MASK}@", text)


def seconds_since_1970(stamp: str) -> float | None:
    """From `2026-01-02T03:04:05.123456789Z`; None for a container that never started."""
    if not stamp or stamp.startswith("0001-"):
        return None
    try:
        return datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
