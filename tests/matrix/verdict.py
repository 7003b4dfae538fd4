"""What must hold after every fault, in words for the record; each function fails the test if it does not hold."""

from __future__ import annotations

from tests.integration.demo_site import AS_PROGRAM, wait_for
from tests.matrix.matrix_site import Data, Ended, MatrixSite, Visitor


def nothing_is_lost(site: MatrixSite, before: Data, visitor: Visitor | None = None) -> str:
    """Every earlier row is there, byte for byte, and every write that core confirmed to a visitor."""
    after = site.data()
    assert [key for key in before.rows if key not in after.rows] == [], "earlier rows are lost"
    assert [key for key, row in before.rows.items() if after.rows[key] != row] == [], "earlier rows are changed"
    if visitor is None:
        return str(before)
    lost = [key for key in visitor.confirmed if f"item {key}" not in after.rows]
    assert not lost, f"{len(lost)} of {len(visitor.confirmed)} confirmed writes are lost"
    return f"{before}; {len(visitor.confirmed)} writes by visitors"


def serves(site: MatrixSite, version: str) -> str:
    """The site is running with this version and open, with nothing unfinished or left over, and serves visitors."""
    said = serves_with_a_migration_made(site, version)
    assert site.containers(one_offs=True) == {}
    return said


def serves_with_a_migration_made(site: MatrixSite, version: str) -> str:
    """Like `serves`, but there may be a migrate container that was never started; no later operation uses it."""
    # After a fault, services may still be starting by themselves.
    told = {}

    def runs() -> bool:
        told.update(site.status())
        return bool(told["state"] == "running")

    wait_for(runs, "the site runs")
    assert (told["version"], told["gate"], told["unfinished"], told["drift"]) == (version, "open", None, [])
    assert {found["State"]["Status"] for found in site.containers(one_offs=True).values()} <= {"created"}
    assert site.ask("/api/version", AS_PROGRAM).json()["version"] == f"v{version}"
    return f"running, gate open, {version}"


def names_the_two_ways(site: MatrixSite) -> None:
    """The site says that an operation is unfinished, and names the two commands that continue or undo it."""
    told = site.status()
    assert told["unfinished"], told
    assert told["next"] == ["graasp-local resume", "graasp-local rollback"]


def ends_well(site: MatrixSite, ended: Ended, allowed: tuple[int, ...]) -> str:
    """The command ended with one of these exit codes, and the site is as the code says, after a rollback if needed."""
    assert ended.code in allowed, ended.said
    match ended.code:
        case 0:
            return f"exit code 0: {serves(site, '1.1.0')}"
        case 10:
            return f"refused (exit code 10): {serves(site, '1.0.0')}"
        case 20:
            return f"rolled back (exit code 20): {serves(site, '1.0.0')}"
        case code:
            names_the_two_ways(site)
            site.run("rollback")
            return f"exit code {code}, then rollback (exit code 0): {serves(site, '1.0.0')}"
