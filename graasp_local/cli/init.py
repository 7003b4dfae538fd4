"""`graasp-local init [DIRECTORY]`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from graasp_local.cli.context import Context, pass_context


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--url", help="Where visitors will find the site, such as https://graasp.school.example.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port that nginx listens on. Default: 80.")
@click.option("--bind", help="The address that nginx listens on. Default: 0.0.0.0, all addresses.")
@click.option("--project", help="The Compose project's name. Default: the directory's name.")
@click.option("--demo", is_flag=True, help="Use the demo images (scripts/build-demo-images), on this machine only.")
@pass_context
def command(
    context: Context,
    directory: Path | None,
    url: str | None,
    port: int | None,
    bind: str | None,
    project: str | None,
    *,
    demo: bool,
) -> None:
    """Make a new site in DIRECTORY (default: --site, else here). Never overwrites one."""
    from graasp_local.init_site import default_project_name, init_site

    where = directory or context.named_site or Path.cwd()
    if demo:
        port, bind = port or 8080, bind or "127.0.0.1"
    try:
        host = urlsplit(url).hostname if url else None
    except ValueError:
        raise click.BadParameter(f"{url!r} is no address that a browser could open.", param_hint="--url") from None
    shown_port = "" if port in (None, 80) else f":{port}"
    chosen = {
        "COMPOSE_PROJECT_NAME": project or default_project_name(where.resolve()),
        "PUBLIC_URL": url or f"http://{'127.0.0.1' if demo else 'localhost'}{shown_port}",
        "COOKIE_DOMAIN": host or ("127.0.0.1" if demo else "localhost"),
        "UMAMI_HOST": f"umami.{host or 'localhost'}",
        "HTTP_PORT": str(port) if port else "",
        "HTTP_BIND": bind or "",
    }
    site = init_site(where, {key: value for key, value in chosen.items() if value}, demo)
    click.echo(
        f"Made a site in {site.directory}. Its settings and secrets are in .env; keep a copy of that file.", err=True
    )
    at = "" if site.directory == Path.cwd() else f" --site {site.directory}"
    click.echo(f"Next: look through {site.env_file}, then `graasp-local{at} deploy --version X`.", err=True)
