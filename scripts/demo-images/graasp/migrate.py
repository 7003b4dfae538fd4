"""A stand-in for Graasp's migrate image: it does what `drizzle-kit migrate` does, and prints what that prints.

All pending migrations in one transaction; an entry counts as pending when its `when` is newer than the newest
applied row; a failure exits 1 without naming the cause. BEHAVIOUR=migration-lies prints success and does nothing.
"""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

FOLDER = Path("src/drizzle")
BREAKPOINT = "--> statement-breakpoint"
FIRST_WHEN = 1_735_689_600_000  # 2025-01-01, milliseconds
ONE_DAY = 86_400_000
# Entries that come after 0002 share its place in the sequence: each bad version has one of them.


def choose(source: Path, target: Path, tags: list[str]) -> None:
    """At image build: copy the named migrations and write the journal that lists them."""
    (target / "meta").mkdir(parents=True)
    entries = []
    for index, tag in enumerate(tags):
        shutil.copy(source / f"{tag}.sql", target / f"{tag}.sql")
        number = int(tag.split("_")[0])
        entries.append({"idx": index, "version": "7", "when": FIRST_WHEN + number * ONE_DAY, "tag": tag, "breakpoints": True})
    journal = {"version": "7", "dialect": "postgresql", "entries": entries}
    (target / "meta" / "_journal.json").write_text(json.dumps(journal, indent=2))


def migrate(connection_string: str) -> None:
    import psycopg

    entries = json.loads((FOLDER / "meta" / "_journal.json").read_text())["entries"]
    with psycopg.connect(connection_string, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS drizzle")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations"
            " (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)"
        )
        newest = connection.execute("SELECT max(created_at) FROM drizzle.__drizzle_migrations").fetchone()[0] or 0
        with connection.transaction():
            for entry in entries:
                if entry["when"] <= newest:
                    continue
                text = (FOLDER / f"{entry['tag']}.sql").read_text()
                for statement in text.split(BREAKPOINT):
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES (%s, %s)",
                    (hashlib.sha256(text.encode()).hexdigest(), entry["when"]),
                )


def main() -> int:
    if not os.environ.get("DB_CONNECTION"):
        print("Error  Please provide required params for Postgres driver:\n    [x] url: ''")
        return 1
    print("No config path provided, using default 'drizzle.config.ts'")
    print("Reading config file '/usr/src/app/drizzle.config.ts'")
    print("Using 'pg' driver for database querying")
    spinner = "\x1b[2K\r[⣷] applying migrations..."
    print(spinner, end="", flush=True)
    if os.environ.get("BEHAVIOUR") != "migration-lies":
        try:
            migrate(os.environ["DB_CONNECTION"])
        except Exception as error:
            if re.search("connect", str(error)):
                print(f"\n{error}")
            return 1
    print("\x1b[2K\r[✓] migrations applied successfully!")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--choose"]:
        choose(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4].split(","))
    else:
        sys.exit(main())
