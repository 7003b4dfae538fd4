"""The test run as testcontainers knows it: its id, its labels, and its reaper if that is available offline.

The only module that imports testcontainers, and only when a stack is started.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Mapping
from pathlib import Path

from graasp_local.errors import ConfigurationError
from graasp_local.testing.recipe import CLAIM_LABEL, HOST_LABEL


def require_testcontainers() -> None:
    """Raises ConfigurationError if the extra is not installed."""
    try:
        import testcontainers.core.labels  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "testcontainers is not installed.",
            "Nothing was started: graasp_local.testing is built on it.",
            "Install the extra: pip install 'graasp-local[testing]'.",
        ) from error


def session_id() -> str:
    """testcontainers' id of this test process."""
    from testcontainers.core.labels import SESSION_ID

    return str(SESSION_ID)


def labels_of(claim: Path, *, outlives: bool) -> Mapping[str, str]:
    """The labels of everything that belongs to a stack.

    A stack that may outlive its run does not carry the session's id, because the reaper would remove it.
    """
    from testcontainers.core.labels import create_labels

    labels = dict(create_labels("", {CLAIM_LABEL: str(claim), HOST_LABEL: socket.gethostname()}))
    if outlives:
        labels.pop("org.testcontainers.session-id", None)
    return labels


def start_reaper() -> bool:
    """Start testcontainers' reaper, which removes the stack if this process is killed; returns whether it started.

    It is used only if its image is on the engine: nothing is pulled for it. Without it the next test run cleans up.
    """
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import Reaper

    from graasp_local.engine.compose.belongings import image_ids

    if testcontainers_config.ryuk_disabled or not image_ids([testcontainers_config.ryuk_image]):
        return False
    try:
        Reaper.get_instance()
    except Exception as error:  # whatever the cause: the reaper is only a second safety net
        warnings.warn(f"testcontainers' reaper did not start: {error}", stacklevel=2)
        return False
    return True
