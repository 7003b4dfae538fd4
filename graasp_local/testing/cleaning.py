"""Removing stacks: those of killed test runs, idle ones that have expired, and all of them on request."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from graasp_local.engine.compose.belongings import belongings, remove_containers, remove_project
from graasp_local.engine.compose.leftovers import wait_for_leftovers
from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.reach.addresses import engine_address
from graasp_local.testing.claims import Claim, Claims
from graasp_local.testing.recipe import CLAIM_LABEL, HOST_LABEL


def remove_stack(claim: Claim) -> None:
    """Remove everything of a stack from the engine, then its claim. Raises EngineUnreachable, NeedsYou.

    A site that a test put into its own directory stays there, without its containers.
    """
    try:
        # A Compose process left by a killed run would recreate what is being removed.
        wait_for_leftovers(Path(claim.record.site), patience_seconds=0.0)
        remove_project(claim.record.project)
        _remove_unbelonging(claim.directory)
        claim.give_up()
    finally:
        claim.release()  # if the engine is gone, the next run treats it as an orphan


def _remove_unbelonging(directory: Path) -> None:
    """Remove containers that carry the claim's label but no project: they only held a port."""
    strays = [item.id for item in belongings(f"{CLAIM_LABEL}={directory}") if PROJECT_LABEL not in item.labels]
    if strays:
        remove_containers(strays)


def remove_orphans(claims: Claims) -> tuple[str, ...]:
    """Remove what killed test runs of this machine have left on the engine; returns the names of the projects.

    Raises EngineUnreachable.
    """
    removed = []
    marked = _marked()
    for each in (claims, *_claims_elsewhere(claims, marked)):
        for claim in each.orphans(engine_address(), time.time()):
            removed.append(claim.record.project)
            remove_stack(claim)
    for directory, project in marked:
        if Path(directory).exists():
            continue
        removed.append(project)
        if project:
            remove_project(project)
        _remove_unbelonging(Path(directory))
    return tuple(removed)


def _marked() -> set[tuple[str, str]]:
    """Claim directory and project of every stack on the engine that a test run of this machine has created.

    The directory may be gone, for example with the machine's temporary files.
    """
    return {
        (item.labels[CLAIM_LABEL], item.labels.get(PROJECT_LABEL, ""))
        for item in belongings(f"{HOST_LABEL}={socket.gethostname()}")
        if CLAIM_LABEL in item.labels
    }


def _claims_elsewhere(claims: Claims, marked: Iterable[tuple[str, str]]) -> list[Claims]:
    """The claims of this user's test runs that used another directory for temporary files (TMPDIR)."""
    roots = {Path(directory).parent for directory, _ in marked} - {claims.root}
    return [Claims(root) for root in sorted(roots) if root.is_dir() and root.stat().st_uid == os.getuid()]


def remove_left(claims: Claims) -> tuple[str, ...]:
    """Remove every stack on this engine that no process holds, including those left on purpose."""
    removed = list(remove_orphans(claims))
    for claim in claims.left():
        if claim.record.engine != engine_address():
            claim.release()
            continue
        removed.append(claim.record.project)
        remove_stack(claim)
    return tuple(removed)
