"""A stand-in for Mailpit: an SMTP server that keeps what it is given, and shows it as JSON."""

import os
import sqlite3
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

from answering import Answer, Handler, serve

FILE = os.environ.get("MP_DATABASE", "/tmp/mailpit.db")


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(FILE, isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS mail (id INTEGER PRIMARY KEY, text TEXT)")
    return connection


class Smtp(StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 mailpit stand-in")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"EHLO":
                self._say("250-mailpit\r\n250 AUTH PLAIN LOGIN")
            elif word == b"AUTH":
                self._say("235 ok")
            elif word == b"DATA":
                self._say("354 go on")
                lines = []
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(part)
                database().execute("INSERT INTO mail (text) VALUES (?)", (b"".join(lines).decode(errors="replace"),))
                self._say("250 kept")
            elif word == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path in ("/readyz", "/livez"):
        return 200, "ok"
    if path == "/api/v1/messages":
        return 200, {"messages": [text for (text,) in database().execute("SELECT text FROM mail ORDER BY id")]}
    return 200, "Mailpit stand-in: see /api/v1/messages"


ThreadingTCPServer.allow_reuse_address = True
threading.Thread(target=ThreadingTCPServer(("0.0.0.0", 1025), Smtp).serve_forever, daemon=True).start()
serve(8025, answer)
