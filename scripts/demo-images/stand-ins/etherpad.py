"""A stand-in for Etherpad: a database of its own, the API key out of its file, pads under /p/."""

import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from answering import Answer, Handler, serve

KEY_FILE = Path("/opt/etherpad-lite/APIKEY.txt")


def connect() -> psycopg.Connection:
    settings = {"host": "DB_HOST", "port": "DB_PORT", "dbname": "DB_NAME", "user": "DB_USER", "password": "DB_PASS"}
    return psycopg.connect(autocommit=True, connect_timeout=5, **{name: os.environ[key] for name, key in settings.items()})


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/health":
        return 200, {"status": "pass", "releaseId": "stand-in"}
    if path.startswith("/api/"):
        sent = parse_qs(urlsplit(request.path).query).get("apikey", [""])[0]
        if os.environ.get("AUTHENTICATION_METHOD") != "apikey" or sent != KEY:
            return 401, {"code": 4, "message": "no or wrong API Key", "data": None}
        DATABASE.execute("INSERT INTO store VALUES (%s, %s) ON CONFLICT (key) DO NOTHING", (f"pad:{time.time_ns()}", "{}"))
        count = DATABASE.execute("SELECT count(*) FROM store").fetchone()[0]
        return 200, {"code": 0, "message": "ok", "data": {"pads": count}}
    if path.startswith("/p/"):
        # As Etherpad's own pages do, it finds its files relative to its own address.
        return 200, f'<!doctype html><title>{path[3:]} | Etherpad stand-in</title><link rel="stylesheet" href="../static/css/pad.css">'
    if path.startswith("/static/"):
        return 200, "/* Etherpad stand-in */"
    return 404, "not found"


if __name__ == "__main__":
    KEY = KEY_FILE.read_text().strip()
    try:
        DATABASE = connect()
    except psycopg.OperationalError as error:
        sys.exit(f"Etherpad stand-in: {error}")
    DATABASE.execute("CREATE TABLE IF NOT EXISTS store (key varchar(100) PRIMARY KEY, value text NOT NULL)")
    serve(9001, answer)
