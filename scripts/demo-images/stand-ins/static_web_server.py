"""A stand-in for static-web-server: SERVER_ROOT, SERVER_PORT, SERVER_HEALTH, SERVER_FALLBACK_PAGE."""

import os
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = os.environ.get("SERVER_ROOT", "/public")
FALLBACK = os.environ.get("SERVER_FALLBACK_PAGE", "")


class Files(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, directory=ROOT)

    def do_GET(self) -> None:
        if self.path == "/health" and os.environ.get("SERVER_HEALTH") == "true":
            self.send_response(200)
            self.end_headers()
            return
        self._fall_back()
        super().do_GET()

    def do_HEAD(self) -> None:
        self._fall_back()
        super().do_HEAD()

    def _fall_back(self) -> None:
        if FALLBACK and not Path(self.translate_path(self.path)).is_file():
            self.path = "/" + os.path.relpath(FALLBACK, ROOT)

    def list_directory(self, path: object) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Quiet."""


# A browser asks for some 150 files at once over HTTP/2, and nginx opens a connection for each. With Python's 5,
# connections are dropped and tried again after 1, 3, 7, … seconds.
ThreadingHTTPServer.request_queue_size = 1024
ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("SERVER_PORT", "80"))), Files).serve_forever()
