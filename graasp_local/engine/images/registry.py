"""The tags of a repository, requested from its registry through the OCI distribution API, without the engine.

Requests an anonymous token if the registry wants one. Reads at most MOST_PAGES pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

MOST_PAGES = 50
_TIMEOUT_SECONDS = 10
_DOCKER_HUB = "registry-1.docker.io"


class RegistryUnreachableError(Exception):
    """The registry did not answer, or not with a list of tags; the text says how."""


def repository_tags(repository: str) -> tuple[str, ...]:
    """All tags of `host/path`. Raises RegistryUnreachableError."""
    import requests

    try:
        return tuple(_tags(repository))
    except (requests.RequestException, ValueError, KeyError) as error:
        raise RegistryUnreachableError(type(error).__name__) from error


def _tags(repository: str) -> Iterator[str]:
    import requests

    host, path = split_repository(repository)
    # As the engine does: no TLS for registries on this machine.
    scheme = "http" if host.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{host}/v2/{path}/tags/list?n=1000"
    with requests.Session() as session:
        for _ in range(MOST_PAGES):
            answer = session.get(url, timeout=_TIMEOUT_SECONDS)
            if answer.status_code == 401 and "Authorization" not in session.headers:
                token = _anonymous_token(session, answer.headers.get("WWW-Authenticate", ""))
                session.headers["Authorization"] = f"Bearer {token}"
                answer = session.get(url, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            yield from answer.json().get("tags") or ()
            following = answer.links.get("next", {}).get("url")
            if not following:
                return
            url = urljoin(url, following)


def _anonymous_token(session: object, challenge: str) -> str:
    import requests

    assert isinstance(session, requests.Session)  # noqa: S101 - for the type checker: the import is lazy
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    wanted = {key: fields[key] for key in ("service", "scope") if key in fields}
    answer = session.get(fields["realm"], params=wanted, timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    told = answer.json()
    return str(told.get("token") or told["access_token"])


def split_repository(repository: str) -> tuple[str, str]:
    """`public.ecr.aws/graasp/graasp` → host and path; a name without a host belongs to Docker Hub."""
    first, _, rest = repository.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return _DOCKER_HUB, repository if rest else f"library/{repository}"
