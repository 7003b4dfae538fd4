"""A stand-in for Meilisearch: health, the master key that it insists on in production, documents that survive."""

import json
import os
import re
import sys
from pathlib import Path

from answering import Answer, Handler, serve

KEY = os.environ.get("MEILI_MASTER_KEY", "")
DATA = Path("/meili_data/documents.json")


def documents() -> dict[str, list]:
    return json.loads(DATA.read_text()) if DATA.exists() else {}


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/health":
        return 200, {"status": "available"}
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return 401, {"code": "missing_authorization_header"}
    if path == "/version":
        return 200, {"pkgVersion": "1.8.4"}
    if path.partition("?")[0] == "/indexes" and method == "GET":
        return 200, {"results": [{"uid": name} for name in documents()], "offset": 0, "limit": 20}
    found = re.fullmatch(r"/indexes/(\w+)/documents", path)
    if found and method == "POST":
        kept = documents()
        kept.setdefault(found[1], []).extend(json.loads(body))
        DATA.write_text(json.dumps(kept))
        return 202, {"status": "enqueued"}
    if found:
        return 200, {"results": documents().get(found[1], [])}
    return 404, {"code": "not_found"}


if __name__ == "__main__":
    if os.environ.get("MEILI_ENV") == "production" and len(KEY) < 16:
        sys.exit("error: In production mode, the environment variable MEILI_MASTER_KEY is mandatory (at least 16 bytes).")
    serve(7700, answer)
