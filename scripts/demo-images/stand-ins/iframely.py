"""A stand-in for iframely: it describes any address by the address itself."""

from urllib.parse import parse_qs, urlsplit

from answering import Answer, Handler, serve


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/iframely":
        url = parse_qs(urlsplit(request.path).query).get("uri", [""])[0]
        return (200, {"meta": {"title": url}, "links": {}}) if url else (400, {"error": "'uri' get param expected"})
    return 404, {"error": "not found"}


serve(8061, answer)
