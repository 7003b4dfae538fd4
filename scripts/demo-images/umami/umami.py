"""A stand-in for umami: the heartbeat, one counter, and a connection that it never gives back.

The held connection is the point: work on Graasp's database must not mind that umami stays connected
to the same server, and must not disturb it.
"""

import asyncio
import os
import sys

import psycopg
from aiohttp import web

DATABASE_URL = os.environ["DATABASE_URL"]
if not os.environ.get("APP_SECRET"):
    sys.exit("APP_SECRET is not set")


async def connect(application: web.Application) -> None:
    connection = await psycopg.AsyncConnection.connect(DATABASE_URL, autocommit=True)
    await connection.execute("CREATE TABLE IF NOT EXISTS website_event (id bigserial PRIMARY KEY, at timestamptz DEFAULT now())")
    application["connection"] = connection


async def heartbeat(request: web.Request) -> web.Response:
    await request.app["connection"].execute("SELECT 1")
    return web.json_response({"ok": True})


async def send(request: web.Request) -> web.Response:
    await request.app["connection"].execute("INSERT INTO website_event DEFAULT VALUES")
    return web.json_response({"ok": True})


async def script(request: web.Request) -> web.Response:
    return web.Response(text="/* umami stand-in: nothing is tracked */", content_type="text/javascript")


async def home(request: web.Request) -> web.Response:
    cursor = await request.app["connection"].execute("SELECT count(*) FROM website_event")
    (count,) = await cursor.fetchone()
    return web.Response(text=f"umami stand-in: {count} events\n")


def make_application() -> web.Application:
    application = web.Application()
    application.on_startup.append(connect)
    application.add_routes([
        web.get("/", home),
        web.get("/api/heartbeat", heartbeat),
        web.post("/api/send", send),
        web.get("/script.js", script),
    ])
    return application


if __name__ == "__main__":
    # A lost database ends umami; its restart policy starts it again, as with the real one.
    try:
        web.run_app(make_application(), host=os.environ.get("HOSTNAME_LISTEN", "0.0.0.0"), port=3000, print=None, handle_signals=False)
    except (psycopg.OperationalError, asyncio.CancelledError) as error:
        sys.exit(f"umami stand-in: {error}")
