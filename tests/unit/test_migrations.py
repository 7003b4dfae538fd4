"""What follows from a version's migrations and the database's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graasp_local.planning.migrations import (
    AppliedMigration,
    DatabaseIsNewer,
    ImageMigration,
    Pending,
    WouldBeSkipped,
    compare,
    proof_failures,
)


def image(*whens: int) -> list[ImageMigration]:
    return [ImageMigration(f"{when:04}_m", when, f"hash{when}") for when in whens]


def applied(*whens: int) -> list[AppliedMigration]:
    return [AppliedMigration(when, f"hash{when}") for when in whens]


def test_an_empty_database_needs_all_of_them() -> None:
    assert compare(image(1, 2), applied()) == Pending(("0001_m", "0002_m"))


def test_a_database_that_has_all_needs_none() -> None:
    assert compare(image(1, 2), applied(1, 2)) == Pending(())


def test_an_older_version_on_a_newer_database_is_a_downgrade() -> None:
    assert compare(image(1, 2), applied(1, 2, 3)) == DatabaseIsNewer(1)


def test_an_entry_older_than_the_newest_applied_one_would_be_skipped_silently() -> None:
    assert compare(image(1, 2, 3), applied(1, 3)) == WouldBeSkipped(("0002_m",))


def test_a_migration_that_reports_false_success_is_caught_by_what_is_missing() -> None:
    assert proof_failures(image(1, 2), applied(1), ["0002_m"]) == ("Migration 0002_m is not in the database.",)


def test_a_migration_from_another_sql_text_is_caught_by_its_hash() -> None:
    rows = [AppliedMigration(1, "hash1"), AppliedMigration(2, "something else")]
    assert proof_failures(image(1, 2), rows, ["0002_m"]) == (
        "Migration 0002_m was applied from SQL that is not the same as this version's.",
    )


def test_the_sql_of_earlier_operations_is_not_judged_again() -> None:
    rows = [AppliedMigration(1, "touched up since"), AppliedMigration(2, "hash2")]
    assert proof_failures(image(1, 2), rows, ["0002_m"]) == ()


def test_rows_of_another_version_are_no_proof() -> None:
    assert proof_failures(image(1), applied(1, 9), []) == (
        "The database has 1 migration(s) that this version does not know.",
    )


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_applying_what_is_pending_is_what_proves_it(known: set[int], done: set[int]) -> None:
    migrations = image(*sorted(known))
    match compare(migrations, applied(*sorted(done))):
        case Pending(tags=tags):
            whens = {migration.when for migration in migrations if migration.tag in tags}
            assert proof_failures(migrations, applied(*sorted(done | whens)), tags) == ()
        case DatabaseIsNewer(unknown=unknown):
            assert unknown == len(done - known)
        case WouldBeSkipped():
            assert done <= known
