"""A stand-in for the admin: migrations of its own in Graasp's database, and a connection to it that is never given back.

`admin.py migrate` makes what the real one's Ecto makes; `admin.py server` answers.
"""

import os
import sys
from urllib.parse import urlsplit

import psycopg
from answering import Answer, Handler, serve

MIGRATION = 20240101000000


def connect() -> psycopg.Connection:
    url = urlsplit(os.environ["DATABASE_URL"])
    if url.scheme != "ecto" or not os.environ.get("SECRET_KEY_BASE"):
        sys.exit("admin stand-in: DATABASE_URL is no ecto address, or SECRET_KEY_BASE is not set")
    return psycopg.connect(url._replace(scheme="postgresql").geturl(), autocommit=True, connect_timeout=5)


def migrate(database: psycopg.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp(0))")
    database.execute("INSERT INTO schema_migrations VALUES (%s, now()) ON CONFLICT DO NOTHING", (MIGRATION,))


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/up":
        return 200, "up"
    (items,) = DATABASE.execute("SELECT count(*) FROM item").fetchone()
    return 200, f"<!doctype html><title>Admin stand-in</title><p>{items} items on {os.environ['PHX_HOST']}"


if __name__ == "__main__":
    try:
        DATABASE = connect()
    except psycopg.OperationalError as error:
        sys.exit(f"admin stand-in: {error}")
    if sys.argv[1] == "migrate":
        migrate(DATABASE)
    else:
        serve(int(os.environ["PORT"]), answer)
