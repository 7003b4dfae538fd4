"""A Graasp stack for integration tests: see docs/testing.md.

Names are imported on first use, because pytest loads the plugin in this package wherever graasp-local is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graasp_local.testing.factories import Factory, Member
    from graasp_local.testing.operations import Operation, OperationFailed
    from graasp_local.testing.stack import ExecResult, GraaspStack

__all__ = ["ExecResult", "Factory", "GraaspStack", "Member", "Operation", "OperationFailed"]

_HOMES = {
    "ExecResult": "stack",
    "Factory": "factories",
    "GraaspStack": "stack",
    "Member": "factories",
    "Operation": "operations",
    "OperationFailed": "operations",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
