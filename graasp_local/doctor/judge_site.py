"""The site itself: configuration, secrets, leftovers, data, walks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.backup.names import DATABASES
from graasp_local.doctor.facts import Fact, Facts, Known, PostgresMajors, Unknown
from graasp_local.doctor.findings import Finding, Verdict, not_known, ok
from graasp_local.ports.walk import CollationChange
from graasp_local.settings.rules import Severity
from graasp_local.wording import listed


def configuration(facts: Facts) -> Iterator[Finding]:
    for found in facts.configuration:
        verdict = Verdict.FAILS if found.severity is Severity.ERROR else Verdict.WARNING
        yield Finding("configuration", verdict, found.said, found.mend)
    if not facts.configuration:
        yield ok("configuration", "Nothing is wrong with .env and the compose files.")


def rotation(keys: tuple[str, ...]) -> Iterator[Finding]:
    if keys:
        yield Finding(
            "secrets",
            Verdict.WARNING,
            f"A rotation of {listed(keys)} was cut off: .env and the database may not agree.",
            "`graasp-local secrets rotate` finishes it.",
        )


def leftovers(leftovers: Fact[tuple[str, ...]]) -> Iterator[Finding]:
    if isinstance(leftovers, Unknown):
        yield not_known("containers", "Leftover containers", leftovers)
        return
    for name in leftovers.value:
        said = f"The container {name} is left over: it is of none of the site's services."
        yield Finding("containers", Verdict.WARNING, said, f"`docker rm --force {name}`, once you know what it was.")
    if not leftovers.value:
        yield ok("containers", "No container is left over.")


def volumes(volumes: Fact[tuple[str, ...]]) -> Iterator[Finding]:
    if isinstance(volumes, Unknown):
        yield not_known("volumes", "The volumes", volumes)
        return
    for name in volumes.value:
        said = f"The volume {name} belongs to the site, and none of its services uses it: it is of an older layout."
        mend = f"`docker run --rm -v {name}:/v:ro IMAGE ls -l /v` looks inside; `docker volume rm {name}` removes it."
        yield Finding("volumes", Verdict.WARNING, said, mend)
    if not volumes.value:
        yield ok("volumes", "Every volume of the site is in use by its services.")


def postgres(majors: Fact[PostgresMajors]) -> Iterator[Finding]:
    match majors:
        case Unknown() as unknown:
            yield not_known("postgres", "Whether Postgres fits its data", unknown)
        case Known(PostgresMajors(data, image)) if data != image:
            said = (
                f"The database was written by Postgres {data}, and the image is Postgres {image}: it would not start."
            )
            back = f"Set DB_IMAGE in .env to an image of Postgres {data}"
            mend = f"`graasp-local upgrade-database --to {image}`, or: {back}." if data < image else f"{back} or newer."
            yield Finding("postgres", Verdict.FAILS, said, mend)
        case Known(PostgresMajors(data)):
            yield ok("postgres", f"The database was written by Postgres {data}, which is what the image is.")


def collations(changes: Fact[tuple[CollationChange, ...]]) -> Iterator[Finding]:
    if isinstance(changes, Unknown):
        yield not_known("collations", "Whether text is still sorted as when the database was made", changes)
        return
    for change in changes.value:
        name = change.database
        said = (
            f"The operating system's collations have changed under {name} (version {change.was} when it was made, now "
            f"{change.is_now}): its indexes over text may be out of order, so that rows are not found."
        )
        role = name if name in DATABASES else "postgres"
        mend = (
            f"With the site in the state db-only: `graasp-local compose -- exec db psql -U {role} -d {name} "
            f"-c 'REINDEX DATABASE \"{name}\"' -c 'ALTER DATABASE \"{name}\" REFRESH COLLATION VERSION'`"
        )
        yield Finding("collations", Verdict.WARNING, said, mend)
    if not changes.value:
        yield ok("collations", "Text is sorted as when the databases were made.")


def unfinished(walk: str | None) -> Iterator[Finding]:
    if walk is not None:
        said = f"The deployment {walk} neither went through nor was rolled back."
        yield Finding("walks", Verdict.WARNING, said, "`graasp-local resume` or `graasp-local rollback`")
    else:
        yield ok("walks", "No deployment was left unfinished.")
