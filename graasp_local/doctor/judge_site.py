"""The site itself: configuration, secrets, leftovers, data, operations. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local import __version__
from graasp_local.backup.names import DATABASES
from graasp_local.doctor.facts import Fact, Facts, Known, PostgresMajors, Unknown
from graasp_local.doctor.findings import Finding, Verdict, not_known, ok
from graasp_local.lock import Holder
from graasp_local.ports.database import CollationChange
from graasp_local.settings.rules import Severity
from graasp_local.wording import listed


def configuration(facts: Facts) -> Iterator[Finding]:
    for found in facts.configuration:
        verdict = Verdict.FAILS if found.severity is Severity.ERROR else Verdict.WARNING
        yield Finding("configuration", verdict, found.said, found.fix)
    if not facts.configuration:
        yield ok("configuration", "No problems in .env and the compose files.")


def maker(newer: str | None) -> Iterator[Finding]:
    if newer:
        yield Finding(
            "graasp-local",
            Verdict.WARNING,
            f"The site was created or upgraded by graasp-local {newer}, which is newer than this one ({__version__}).",
            'Upgrade graasp-local: see "Upgrade" in docs/operate.md.',
        )


def rotation(keys: tuple[str, ...]) -> Iterator[Finding]:
    if keys:
        yield Finding(
            "secrets",
            Verdict.WARNING,
            f"The rotation of {listed(keys)} was interrupted: .env and the database may have different values.",
            "`graasp-local secrets rotate` finishes it.",
        )


def leftovers(leftovers: Fact[tuple[str, ...]]) -> Iterator[Finding]:
    if isinstance(leftovers, Unknown):
        yield not_known("containers", "Leftover containers", leftovers)
        return
    for name in leftovers.value:
        said = f"The container {name} belongs to the site, but not to any of its services."
        yield Finding("containers", Verdict.WARNING, said, f"Find out what it was, then `docker rm --force {name}`.")
    if not leftovers.value:
        yield ok("containers", "There are no leftover containers.")


def volumes(volumes: Fact[tuple[str, ...]]) -> Iterator[Finding]:
    if isinstance(volumes, Unknown):
        yield not_known("volumes", "The volumes", volumes)
        return
    for name in volumes.value:
        said = f"The volume {name} belongs to the site, but none of its services uses it: an older layout left it."
        fix = f"`docker run --rm -v {name}:/v:ro IMAGE ls -l /v` looks inside; `docker volume rm {name}` removes it."
        yield Finding("volumes", Verdict.WARNING, said, fix)
    if not volumes.value:
        yield ok("volumes", "Every volume of the site is used by one of its services.")


def postgres(majors: Fact[PostgresMajors]) -> Iterator[Finding]:
    match majors:
        case Unknown() as unknown:
            yield not_known("postgres", "The Postgres version", unknown)
        case Known(PostgresMajors(data, image, external)) if external and image >= data:
            yield ok("postgres", f"The external database at {external} is Postgres {data}.")
        case Known(PostgresMajors(data, image, external)) if external:
            said = (
                f"The external database at {external} is Postgres {data}, and the tools in DB_IMAGE are older: {image}."
            )
            yield Finding("postgres", Verdict.FAILS, said, f"Set DB_IMAGE in .env to an image of Postgres {data}.")
        case Known(PostgresMajors(data, image)) if data != image:
            said = (
                f"The database was written by Postgres {data}, but the image is Postgres {image}: it would not start."
            )
            back = f"Set DB_IMAGE in .env to an image of Postgres {data}"
            fix = f"`graasp-local upgrade-database --to {image}`, or: {back}." if data < image else f"{back} or newer."
            yield Finding("postgres", Verdict.FAILS, said, fix)
        case Known(PostgresMajors(data)):
            yield ok("postgres", f"The database and the image are both Postgres {data}.")


def collations(changes: Fact[tuple[CollationChange, ...]], postgres: Fact[PostgresMajors]) -> Iterator[Finding]:
    if isinstance(changes, Unknown):
        yield not_known("collations", "The collations of the database", changes)
        return
    for change in changes.value:
        name = change.database
        said = (
            f"The operating system sorts text differently than when {name} was created (collation version "
            f"{change.was} then, {change.is_now} now): indexes on text may be out of order, and rows may not be found."
        )
        role = name if name in DATABASES else "postgres"
        fix = (
            f"With the site in the state db-only: `graasp-local compose -- exec db psql -U {role} -d {name} "
            f"-c 'REINDEX DATABASE \"{name}\"' -c 'ALTER DATABASE \"{name}\" REFRESH COLLATION VERSION'`"
        )
        if isinstance(postgres, Known) and postgres.value.external:
            fix = (
                f"With the site in the state db-only, connected to {name} as {role}: "
                f'`REINDEX DATABASE "{name}"`, then `ALTER DATABASE "{name}" REFRESH COLLATION VERSION`.'
            )
        yield Finding("collations", Verdict.WARNING, said, fix)
    if not changes.value:
        yield ok("collations", "Text is still sorted as it was when the databases were created.")


def unfinished(operation: Fact[str | None], holder: Holder | None) -> Iterator[Finding]:
    if holder is not None:
        said = f"Another command is running on this site: {holder.described()}. What it does is not finished yet."
        yield Finding("unfinished", Verdict.WARNING, said, "Wait until it has ended, then run doctor again.")
    elif isinstance(operation, Unknown):
        yield not_known("unfinished", "Whether an operation is unfinished", operation)
    elif operation.value is not None:
        said = f"The operation {operation.value} was left unfinished."
        yield Finding("unfinished", Verdict.WARNING, said, "`graasp-local resume` or `graasp-local rollback`")
    else:
        yield ok("unfinished", "No operation is unfinished.")
