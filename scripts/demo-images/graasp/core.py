"""A stand-in for Graasp's core that keeps its contract: the routes, the settings it insists on, how it boots and dies.

BEHAVIOUR picks how a bad version misbehaves: slow-boot, never-healthy, crashes-later, wrong-version.
"""

import asyncio
import os
import shutil
import smtplib
import socket
import ssl
import sys
import time
from datetime import datetime, timezone
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import psycopg
from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType, web
from psycopg.rows import dict_row

# The real core refuses to boot while any of these is missing or empty.
REQUIRED_SETTINGS = """
SECURE_SESSION_SECRET_KEY JWT_SECRET PASSWORD_RESET_JWT_SECRET EMAIL_CHANGE_JWT_SECRET APPS_JWT_SECRET DB_CONNECTION
REDIS_CONNECTION MAILER_CONNECTION COOKIE_DOMAIN ETHERPAD_URL ETHERPAD_API_KEY EMBEDDED_LINK_ITEM_IFRAMELY_HREF_ORIGIN
APPS_PUBLISHER_ID GRAASPER_CREATOR_ID RECAPTCHA_SECRET_ACCESS_KEY H5P_PATH_PREFIX H5P_FILE_STORAGE_TYPE
H5P_STORAGE_ROOT_PATH FILE_STORAGE_ROOT_PATH FILE_STORAGE_HOST MEILISEARCH_URL H5P_FILE_STORAGE_HOST
""".split()

VERSION = os.environ["APP_VERSION"]
BEHAVIOUR = os.environ.get("BEHAVIOUR", "")
STARTED = datetime.now(timezone.utc).isoformat()
ITEM_COLUMNS = "id, name, created_at" if VERSION == "v1.0.0" else "id, name, created_at, lang"
CRASH_AFTER_SECONDS = 8
SLOW_BOOT_SECONDS = 10
SEARCH_INDEX = "itemIndex"
NODES_LIMITS = {"max_line_size": 16_384, "max_field_size": 16_384}


async def query(request: web.Request, statement: str, *parameters: object) -> list[dict]:
    async with request.app["lock"]:
        cursor = await request.app["connection"].execute(statement, parameters)
        return await cursor.fetchall()


@web.middleware
async def errors_as_json(request: web.Request, handler):
    try:
        return await handler(request)
    except psycopg.Error as error:
        return web.json_response({"statusCode": 500, "message": str(error).strip()}, status=500)


async def health(request: web.Request) -> web.Response:
    if BEHAVIOUR == "never-healthy":
        return web.Response(status=500, text="not today")
    return web.Response(text="OK")


async def version(request: web.Request) -> web.Response:
    said = "v0.0.1" if BEHAVIOUR == "wrong-version" else VERSION
    return web.json_response({"version": said, "buildTimestamp": STARTED})


async def answers(url: str) -> bool:
    try:
        async with ClientSession(timeout=ClientTimeout(total=2)) as session, session.get(url) as answer:
            return answer.status < 500
    except (ClientError, OSError, asyncio.TimeoutError):
        return False


async def status(request: web.Request) -> web.Response:
    try:
        await query(request, "SELECT 1 AS one")
        database = True
    except psycopg.Error:
        database = False
    told = {
        "api": True,
        "database": database,
        "meilisearch": await answers(f"{os.environ['MEILISEARCH_URL']}/health"),
        "etherpad": await answers(f"{os.environ['ETHERPAD_URL']}/health"),
        "iframely": await answers(os.environ["EMBEDDED_LINK_ITEM_IFRAMELY_HREF_ORIGIN"]),
    }
    return web.json_response({name: {"status": "healthy" if well else "unexpected"} for name, well in told.items()})


def as_json(row: dict) -> dict:
    return {key: str(value) for key, value in row.items()}


async def list_items(request: web.Request) -> web.Response:
    rows = await query(request, f"SELECT {ITEM_COLUMNS} FROM item ORDER BY created_at, id")
    return web.json_response([as_json(row) for row in rows])


async def create_item(request: web.Request) -> web.Response:
    try:
        name = (await request.json())["name"]
    except (ValueError, KeyError, TypeError):
        return web.json_response({"statusCode": 400, "message": "body must be an object with a name"}, status=400)
    rows = await query(request, f"INSERT INTO item (name) VALUES (%s) RETURNING {ITEM_COLUMNS}", str(name))
    return web.json_response(as_json(rows[0]), status=201)


async def slow(request: web.Request) -> web.Response:
    seconds = min(float(request.query.get("seconds", "1")), 60.0)
    await asyncio.sleep(seconds)
    return web.json_response({"slept": seconds})


async def next_maintenance(request: web.Request) -> web.Response:
    rows = await query(request, "SELECT slug, start_at, end_at FROM maintenance WHERE end_at > now() ORDER BY start_at LIMIT 1")
    return web.json_response(as_json(rows[0]) if rows else None)


async def websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def home(request: web.Request) -> web.Response:
    text = (Path(__file__).parent / "home.html").read_text().replace("{{version}}", VERSION)
    return web.Response(text=text, content_type="text/html")


async def upload(request: web.Request) -> web.Response:
    """Keep a file, and say where a browser finds it: the real core resolves its name against FILE_STORAGE_HOST.

    Until it is there it is below /tmp, and what is cut off stays there, as the real core's does.
    """
    name = request.match_info["name"]
    target = Path(os.environ["FILE_STORAGE_ROOT_PATH"]) / "files" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    begun = Path(f"/tmp/tmp-{time.time_ns()}")
    with begun.open("wb") as file:
        async for part in request.content.iter_any():
            file.write(part)
    shutil.move(begun, target)
    return web.json_response({"url": urljoin(os.environ["FILE_STORAGE_HOST"], f"files/{name}")}, status=201)


async def export(request: web.Request) -> web.Response:
    """A file as core puts it into an export: fetched from its public address, whatever the answer's status is."""
    url = urlsplit(urljoin(os.environ["FILE_STORAGE_HOST"], f"files/{request.match_info['name']}"))
    trusted = ssl.create_default_context()
    if authority := os.environ.get("NODE_EXTRA_CA_CERTS"):
        trusted.load_verify_locations(authority)
    loaded = Path(os.environ.get("NODE_OPTIONS", "").removeprefix("--require="))

    def connect(asked: tuple[str, int], *others: object) -> socket.socket:
        """What node does once it has loaded that file."""
        if loaded.is_file() and os.environ["GRAASP_INSIDE_INSTEAD_OF"] == f"{asked[0]} {asked[1]}":
            asked = "graasp-inside", asked[1]
        return socket.create_connection(asked, *others)

    def fetch() -> bytes:
        plain, port = HTTPConnection(url.hostname, url.port or 80), url.port or 443
        connection = plain if url.scheme == "http" else HTTPSConnection(url.hostname, port, context=trusted)
        connection._create_connection = connect
        connection.request("GET", url.path)
        return connection.getresponse().read()

    return web.Response(body=await asyncio.to_thread(fetch))


async def short_link(request: web.Request) -> web.Response:
    raise web.HTTPFound(f"{os.environ['PUBLIC_URL']}/player/{request.match_info['alias']}")


async def new_short_link(request: web.Request) -> web.Response:
    return web.json_response({"url": f"{os.environ['SHORT_LINK_BASE_URL']}/{request.match_info['alias']}"})


async def h5p_item(request: web.Request) -> web.Response:
    """An item of H5P as the client gets it; it adds `&content=` to the address of the page."""
    content = request.match_info["content"]
    page = f"{os.environ['H5P_INTEGRATION_URL']}?contentId={content}"
    return web.json_response({"type": "h5p", "extra": {"h5p": {"contentId": content, "integrationUrl": page}}})


async def h5p_asset(request: web.Request) -> web.Response:
    kind = {"js": "text/javascript", "css": "text/css"}.get(request.match_info["path"].rpartition(".")[2])
    return web.Response(text="/* an asset */", content_type=kind) if kind else web.Response(status=404)


async def log_in(request: web.Request) -> web.Response:
    """The session's cookie is Secure in production: over plain http only browsers on localhost keep it."""
    answer = web.Response(status=204)
    answer.set_cookie("session", "demo", domain=os.environ["COOKIE_DOMAIN"], secure=True, httponly=True)
    return answer


async def publish(request: web.Request) -> web.Response:
    """An item with an image: it is published only if a classifier says that it may be seen."""
    classifier = os.environ.get("IMAGE_CLASSIFIER_API")
    if not classifier:
        return web.json_response({"statusCode": 400, "message": "image-classification failure"}, status=400)
    async with ClientSession() as session, session.post(classifier, data=b"an image") as answer:
        return web.json_response(await answer.json(content_type=None), status=answer.status)


async def search(request: web.Request) -> web.Response:
    """Hand everything below /api/search on to Meilisearch, with the key."""
    url = f"{os.environ['MEILISEARCH_URL']}/{request.match_info['path']}"
    headers = {"Authorization": f"Bearer {os.environ['MEILISEARCH_MASTER_KEY']}"}
    async with ClientSession() as session:
        async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


async def pad(request: web.Request) -> web.Response:
    """Make a pad by Etherpad's API, and lead to it."""
    call = f"{os.environ['ETHERPAD_URL']}/api/1/createGroupPad?apikey={os.environ['ETHERPAD_API_KEY']}"
    async with ClientSession() as session, session.get(call) as answer:
        told = await answer.json()
    return web.json_response({"etherpad": told, "url": urljoin(os.environ["ETHERPAD_PUBLIC_URL"], "/p/g.demo$pad")})


async def send_mail(request: web.Request) -> web.Response:
    where = urlsplit(os.environ["MAILER_CONNECTION"])

    def deliver() -> None:
        with smtplib.SMTP(where.hostname, where.port, timeout=5) as server:
            server.login(where.username or "", where.password or "")
            server.sendmail("core@demo", ["member@demo"], "Subject: hello from the demo\r\n\r\nhello")

    await asyncio.to_thread(deliver)
    return web.json_response({"sent": True})


async def echo_headers(request: web.Request) -> web.Response:
    """What core received: lets a test see that the bypass header does not reach it."""
    return web.json_response(dict(request.headers))


async def add_helmet(request: web.Request, response: web.StreamResponse) -> None:
    """What the real core says of security on every answer; nginx says it in its place."""
    response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Content-Security-Policy"] = "default-src 'self';frame-ancestors 'self';object-src 'none'"


async def long_headers(request: web.Request) -> web.Response:
    """An answer with headers of so many bytes, as sessions and policies can make them."""
    size = min(int(request.query.get("bytes", "1000")), 60_000)
    return web.json_response({}, headers={f"X-Long-{i}": "x" * min(1000, size - i * 1000) for i in range(-(-size // 1000))})


async def watch_database(connection_string: str) -> None:
    """End the process as soon as the database goes away: the real core never reconnects."""
    connection = await psycopg.AsyncConnection.connect(connection_string, autocommit=True)
    try:
        async for _ in connection.notifies():
            pass
    except psycopg.OperationalError as error:
        print(f"lost the database: {error}", flush=True)
        os._exit(1)


async def crash_later() -> None:
    await asyncio.sleep(CRASH_AFTER_SECONDS)
    print("Error: crashing after a while, as this demo version is made to", flush=True)
    os._exit(1)


async def has_index() -> bool:
    """Whether Meilisearch has the index of published items, which core makes where there is none."""
    headers = {"Authorization": f"Bearer {os.environ.get('MEILISEARCH_MASTER_KEY', '')}"}
    url = os.environ["MEILISEARCH_URL"]

    async def ask(method: str, path: str, sent: object = None) -> dict:
        async with session.request(method, f"{url}{path}", json=sent, headers=headers, raise_for_status=True) as answer:
            return await answer.json()

    try:
        async with ClientSession(timeout=ClientTimeout(total=5)) as session:
            there = await ask("GET", "/indexes")
            if not any(index["uid"] == SEARCH_INDEX for index in there["results"]):
                task = await ask("POST", "/indexes", {"uid": SEARCH_INDEX})
                while (await ask("GET", f"/tasks/{task['taskUid']}"))["status"] in ("enqueued", "processing"):
                    await asyncio.sleep(0.05)
            return (await ask("GET", f"/indexes/{SEARCH_INDEX}"))["uid"] == SEARCH_INDEX
    except (ClientError, OSError, asyncio.TimeoutError):
        return False


async def start(application: web.Application) -> None:
    connection_string = os.environ["DB_CONNECTION"]
    try:
        connection = await psycopg.AsyncConnection.connect(
            connection_string, autocommit=True, row_factory=dict_row, connect_timeout=5
        )
    except psycopg.OperationalError as error:
        print(f"cannot reach the database: {error}", flush=True)
        os._exit(1)
    application["connection"] = connection
    application["lock"] = asyncio.Lock()
    application["watch"] = asyncio.create_task(watch_database(connection_string))
    if BEHAVIOUR == "crashes-later":
        application["crash"] = asyncio.create_task(crash_later())
    if BEHAVIOUR == "slow-boot":
        await asyncio.sleep(SLOW_BOOT_SECONDS)
    print(f"core {VERSION}: Server listening at http://0.0.0.0:3000", flush=True)
    # Set by every stack that has Meilisearch; one from before it had is still served.
    if not await has_index():
        print(f"connect ECONNREFUSED: {os.environ['MEILISEARCH_URL']}", flush=True)
        os._exit(1)


def make_application() -> web.Application:
    application = web.Application(middlewares=[errors_as_json], handler_args=NODES_LIMITS)
    application.on_startup.append(start)
    application.on_response_prepare.append(add_helmet)
    application.add_routes([
        web.get("/", home),
        web.get("/health", health),
        web.get("/api/version", version),
        web.get("/api/status", status),
        web.get("/api/items", list_items),
        web.post("/api/items", create_item),
        web.get("/api/slow", slow),
        web.get("/api/maintenance/next", next_maintenance),
        web.get("/api/ws", websocket),
        web.get("/api/items/pages/{id}/ws", websocket),
        web.get("/api/items/pages/{id}/ws/read", websocket),
        web.get("/api/echo-headers", echo_headers),
        web.get("/api/long-headers", long_headers),
        web.put("/api/files/{name}", upload),
        web.get("/api/exports/{name}", export),
        web.get("/api/items/short-links/{alias}", short_link),
        web.post("/api/items/short-links/{alias}", new_short_link),
        web.get("/api/items/h5p/{content}", h5p_item),
        web.get("/api/items/h5p-assets/{path:.+}", h5p_asset),
        web.post("/api/login", log_in),
        web.post("/api/publish", publish),
        web.route("*", "/api/search/{path:.*}", search),
        web.post("/api/pads", pad),
        web.post("/api/mails", send_mail),
    ])
    return application


if __name__ == "__main__":
    missing = [name for name in REQUIRED_SETTINGS if not os.environ.get(name)]
    if missing:
        sys.exit(f"{missing[0]} is not defined")
    web.run_app(make_application(), host="0.0.0.0", port=3000, print=None, access_log=None, handle_signals=False)
