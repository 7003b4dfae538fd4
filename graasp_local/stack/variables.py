"""What a site's compose files take from `.env`: which variables; and which profiles and volumes they define.

Read with nothing but a YAML parser, so that no engine is needed. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import services_in, volumes_in

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def variables_used(files: Sequence[Path]) -> frozenset[str]:
    """Every variable that these compose files mention."""
    return frozenset(name for file in files for name in _VARIABLE.findall(file.read_text()))


def profiles_defined(files: Sequence[Path]) -> frozenset[str]:
    """Every profile that a user may enable; the migration's is graasp-local's own. Raises ConfigurationError."""
    return frozenset(
        str(profile)
        for file in files
        for definition in services_in(file).values()
        if ServiceGroup.MIGRATION.value not in str(definition.get("labels"))
        for profile in definition.get("profiles") or ()
    )


def volumes_defined(files: Sequence[Path]) -> frozenset[str]:
    """Every volume that these compose files define, by its name there. Raises ConfigurationError."""
    return frozenset(str(name) for file in files for name in volumes_in(file))
