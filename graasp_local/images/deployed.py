"""The record of successful deployments: version, time, and the exact images, one JSON object per line.

Reads and appends. Does not decide which of the recorded images are still available: the engine does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from graasp_local.files import append_record, records_in
from graasp_local.images.pins import Pin, is_image_id, variable_of
from graasp_local.version import Images, Version


class Deployment(Struct, frozen=True):
    """One successful deployment; `at` is a time in ISO 8601, empty if no record has it."""

    version: Version
    at: str
    pins: tuple[Pin, ...]


def record_deployment(file: Path, version: Version, now: float, pins: Sequence[Pin]) -> None:
    """Append a deployment that succeeded at `now`, in seconds since 1970."""
    record = {
        "version": str(version),
        "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "digests": {pin.service: pin.reference for pin in pins},
        "image_ids": {pin.service: pin.image_id for pin in pins},
        "by_digest": {pin.service: pin.by_digest for pin in pins if pin.by_digest},
    }
    append_record(file, record)


def last_deployment_of(file: Path, version: Version) -> Deployment | None:
    """The newest deployment of this version; None if there was none, or its record is damaged."""
    return next(_newest_first(file, version), None)


def deployment_with(file: Path, version: Version, images: Images) -> Deployment | None:
    """The newest deployment of this version with exactly these images, or the newest of all if none are given.

    If no record has them, as after a deployment that was interrupted before it was recorded, it is derived from the
    images.
    """
    wanted = dict(images)
    if not wanted:
        return last_deployment_of(file, version)
    for found in _newest_first(file, version):
        if found.pins and all(
            wanted.get(variable_of(pin.service)) in (pin.reference, pin.image_id, pin.by_digest) for pin in found.pins
        ):
            return found
    pins = (
        Pin(_service_of(variable), reference, reference if is_image_id(reference) else "")
        for variable, reference in images
    )
    return Deployment(version, "", tuple(pins))


def _newest_first(file: Path, version: Version) -> Iterator[Deployment]:
    for record in reversed(records_in(file)):
        found = _deployment(record)
        if found is not None and found.version == version:
            yield found


def _service_of(variable: str) -> str:
    return variable.removesuffix("_IMAGE").lower().replace("_", "-")


def _deployment(told: Mapping[str, Any]) -> Deployment | None:
    try:
        version = Version.parse_or_none(told["version"])
        ids, by_digest = told.get("image_ids", {}), told.get("by_digest", {})
        pins = tuple(
            Pin(service, str(reference), str(ids.get(service, "")), str(by_digest.get(service, "")))
            for service, reference in told["digests"].items()
        )
        at = str(told["at"])
        if "\\u0000" in json.dumps(told):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return None if version is None else Deployment(version, at, pins)
