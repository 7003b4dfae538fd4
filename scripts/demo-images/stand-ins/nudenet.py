"""A stand-in for NudeNet: it takes an image and finds nothing in it."""

from answering import Answer, Handler, serve


def answer(request: Handler, method: str, path: str, body: bytes) -> Answer:
    if path == "/infer" and method == "POST":
        return (200, {"prediction": [[]], "success": True}) if body else (400, {"success": False})
    return 404, {"success": False}


serve(8080, answer)
