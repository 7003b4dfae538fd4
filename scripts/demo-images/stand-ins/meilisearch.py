"""A stand-in for Meilisearch 1.8, as far as Graasp's core and workers call it: indexes, tasks, settings, documents, search.

Every change is a task, as there: it is answered with 202 and a number, and is done when a client asks for it. A search
finds words in documents, and filters by equality only. All of it survives a new container.
"""

import json
import os
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from answering import Answer, Handler, serve

KEY = os.environ.get("MEILI_MASTER_KEY", "")
DATA = Path("/meili_data/stand-in.json")
LOCK = Lock()


class Refused(Exception):
    """What Meilisearch answers instead: a status and its code for it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        kind = "auth" if status in (401, 403) else "invalid_request"
        self.answer = status, {"message": message, "code": code, "type": kind, "link": ""}


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class Store:
    """What is kept, in one file: indexes by name, and every task that there was."""

    def __init__(self) -> None:
        kept = json.loads(DATA.read_text()) if DATA.exists() else {}
        self.indexes: dict[str, dict] = kept.get("indexes", {})
        self.tasks: list[dict] = kept.get("tasks", [])

    def index(self, name: str) -> dict:
        if name not in self.indexes:
            raise Refused(404, "index_not_found", f"Index `{name}` not found.")
        return self.indexes[name]

    def made(self, name: str, primary_key: str | None = None) -> dict:
        new = {"documents": {}, "settings": {}, "primaryKey": primary_key, "createdAt": now(), "updatedAt": now()}
        return self.indexes.setdefault(name, new)

    def task(self, name: str | None, kind: str, error: dict | None = None) -> Answer:
        """Note what was done; what core gets is a task that waits."""
        number = len(self.tasks)
        status = "failed" if error else "succeeded"
        done = {"uid": number, "indexUid": name, "status": status, "type": kind, "error": error}
        self.tasks.append({**done, "enqueuedAt": now(), "startedAt": now(), "finishedAt": now()})
        DATA.write_text(json.dumps({"indexes": self.indexes, "tasks": self.tasks}))
        return 202, {"taskUid": number, "indexUid": name, "status": "enqueued", "type": kind, "enqueuedAt": now()}


def described(name: str, index: dict) -> dict:
    return {"uid": name, **{key: index[key] for key in ("primaryKey", "createdAt", "updatedAt")}}


def page(results: list, query: dict[str, str]) -> Answer:
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 20))
    return 200, {"results": results[offset : offset + limit], "offset": offset, "limit": limit, "total": len(results)}


def value_of(document: dict, path: str) -> object:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def passes(document: dict, condition: str, filterable: list[str]) -> bool:
    """`attribute = value` or `attribute IN [values]`; only what the settings name can be asked for."""
    found = re.fullmatch(r"([\w.-]+) (?:=|IN) \[?(.*?)\]?", condition.strip())
    if not found or not {found[1], found[1].split(".")[0]} & {*filterable}:
        raise Refused(400, "invalid_search_filter", f"Attribute of `{condition}` is not filterable.")
    wanted = {value.strip().strip("'\"") for value in found[2].split(",")}
    there = value_of(document, found[1])
    return bool(wanted & {as_text(value) for value in (there if isinstance(there, list) else [there])})


def search(store: Store, query: dict) -> dict:
    index = store.index(query["indexUid"])
    filterable = index["settings"].get("filterableAttributes") or []
    words = str(query.get("q") or "").lower().split()
    conditions = [part for part in str(query.get("filter") or "").split(" AND ") if part]
    if conditions and not index["documents"]:
        passes({}, conditions[0], filterable)
    hits = [
        {**document, "_formatted": document}
        for document in index["documents"].values()
        if all(word in json.dumps(document).lower() for word in words)
        and all(passes(document, condition, filterable) for condition in conditions)
    ]
    for order in reversed(query.get("sort") or []):
        attribute, _, direction = order.partition(":")
        hits.sort(key=lambda hit: as_text(value_of(hit, attribute)), reverse=direction == "desc")
    told = {"indexUid": query["indexUid"], "query": query.get("q") or "", "processingTimeMs": 0}
    if query.get("page") or query.get("hitsPerPage"):
        number, size = int(query.get("page") or 1), int(query.get("hitsPerPage") or 20)
        pages = {"page": number, "hitsPerPage": size, "totalPages": -(-len(hits) // size), "totalHits": len(hits)}
        return {**told, "hits": hits[(number - 1) * size : number * size], **pages}
    offset, limit = int(query.get("offset") or 0), int(query.get("limit") or 20)
    return {**told, "hits": hits[offset : offset + limit], "offset": offset, "limit": limit, "estimatedTotalHits": len(hits)}


def change_documents(store: Store, name: str, method: str, what: str, sent: object) -> Answer:
    if method == "DELETE" or what:
        index = store.index(name)
        gone = [*index["documents"]] if not what else sent if isinstance(sent, list) else [what]
        for key in gone:
            index["documents"].pop(str(key), None)
        return store.task(name, "documentDeletion")
    kept = store.made(name)["documents"]
    for document in sent if isinstance(sent, list) else [sent]:
        key = str(document["id"])
        kept[key] = {**(kept.get(key, {}) if method == "PUT" else {}), **document}
    return store.task(name, "documentAdditionOrUpdate")


def answer_about(store: Store, method: str, path: str, query: dict[str, str], sent: object) -> Answer:
    match method, *path.strip("/").split("/"):
        case "GET", "indexes":
            return page([described(name, index) for name, index in store.indexes.items()], query)
        case "POST", "indexes":
            name = sent["uid"]
            exists = {"code": "index_already_exists", "message": f"Index `{name}` already exists."}
            error = exists if name in store.indexes else None
            store.made(name, sent.get("primaryKey"))
            return store.task(name, "indexCreation", error)
        case "POST", "swap-indexes":
            for one, other in (swap["indexes"] for swap in sent):
                first, second = store.index(one), store.index(other)
                store.indexes |= {one: second, other: first}
            return store.task(None, "indexSwap")
        case "POST", "multi-search":
            return 200, {"results": [search(store, query) for query in sent["queries"]]}
        case "GET", "tasks", number:
            if int(number) >= len(store.tasks):
                raise Refused(404, "task_not_found", f"Task `{number}` not found.")
            return 200, store.tasks[int(number)]
        case "GET", "indexes", name:
            return 200, described(name, store.index(name))
        case "DELETE", "indexes", name:
            store.index(name)
            del store.indexes[name]
            return store.task(name, "indexDeletion")
        case "GET", "indexes", name, "documents":
            return page([*store.index(name)["documents"].values()], query)
        case "POST" | "PUT" | "DELETE", "indexes", name, "documents", *what:
            return change_documents(store, name, method, "".join(what), sent)
        case "GET", "indexes", name, "settings":
            return 200, store.index(name)["settings"]
        case "PATCH", "indexes", name, "settings":
            store.made(name)["settings"].update(sent)
            return store.task(name, "settingsUpdate")
        case "PATCH", "indexes", name, "settings", "faceting":
            store.made(name)["settings"]["faceting"] = sent
            return store.task(name, "settingsUpdate")
    raise Refused(404, "not_found", "Not found.")


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/health":
        return 200, {"status": "available"}
    try:
        sent_key = request.headers.get("Authorization")
        if sent_key is None:
            raise Refused(401, "missing_authorization_header", "The Authorization header is missing.")
        if sent_key != f"Bearer {KEY}":
            raise Refused(403, "invalid_api_key", "The provided API key is invalid.")
        if path == "/version":
            return 200, {"pkgVersion": "1.8.4"}
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.path).query).items()}
        with LOCK:
            return answer_about(Store(), method, path, query, json.loads(body) if body else None)
    except Refused as refused:
        return refused.answer


if __name__ == "__main__":
    if os.environ.get("MEILI_ENV") == "production" and len(KEY) < 16:
        sys.exit("error: In production mode, the environment variable MEILI_MASTER_KEY is mandatory (at least 16 bytes).")
    serve(7700, answer)
