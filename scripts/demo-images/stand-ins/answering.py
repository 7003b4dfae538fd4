"""What the stand-ins share: an HTTP server that answers from a table of functions."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, object]


class Handler(BaseHTTPRequestHandler):
    """`answer` gets method, path and body; what it returns is sent as JSON, or as text if it is text."""

    answer: Callable[["Handler", str, str, bytes], Answer]
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = type(self).answer(self, self.command, self.path.partition("?")[0], body)
        if isinstance(content, str):
            kind, data = "text/html; charset=utf-8", content.encode()
        else:
            kind, data = "application/json", json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _respond

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024  # with Python's 5, connections are dropped and tried again after 1, 3, 7, … seconds
    daemon_threads = True


def serve(port: int, answer: Callable[[Handler, str, str, bytes], Answer]) -> None:
    handler = type("Answering", (Handler,), {"answer": staticmethod(answer)})
    server = Server(("0.0.0.0", port), handler)
    print(f"listening on {port}", flush=True)
    server.serve_forever()
