"""Data that nearly every test needs: a logged-in member, an item, a folder with items. Uses Graasp's own API.

The demo images have items but neither members nor folders; asking for those raises a UsageError. Log-in links are read
from Mailpit (`with_profiles("mailpit")`), since Graasp sends them by mail.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from graasp_local.errors import NeedsYou, UsageError

if TYPE_CHECKING:
    import requests

    from graasp_local.testing.stack import GraaspStack

MAIL_SECONDS = 20.0
_TIMEOUT_SECONDS = 30
_LINK = re.compile(r"/api/auth\?t=([\w.-]+)")
_NOT_FOUND = 404


class Member(Struct, frozen=True):
    """A member of Graasp; `session` is logged in as this member, for requests to `stack.get_url()`."""

    name: str
    email: str
    session: requests.Session


class Factory:
    """Creates data on a stack, through the gate whether it is open or closed."""

    def __init__(self, stack: GraaspStack) -> None:
        self._stack = stack

    def member(self, name: str = "", email: str = "") -> Member:
        """Register a member, follow the link in the mail, and return the member with the session.

        Raises UsageError if core has no members (the demo images) or the stack has no Mailpit, NeedsYou if no mail
        came.
        """
        name = name or f"member {uuid.uuid4().hex[:6]}"
        email = email or f"{uuid.uuid4().hex[:12]}@graasp.test"
        mailbox = self._mailbox()
        body = {"name": name, "email": email, "captcha": "unused", "enableSaveActions": False}
        self._ask(self._session(), "register", body, "no members")
        return Member(name, email, self._followed(mailbox, email, set()))

    def log_in(self, email: str) -> requests.Session:
        """A new session for an existing member, through the link in a mail. Raises the same errors as `member`."""
        mailbox = self._mailbox()
        before = {str(mail["ID"]) for mail in _mails(mailbox, email)}
        self._ask(self._session(), "login", {"email": email, "captcha": "unused"}, "no members")
        return self._followed(mailbox, email, before)

    def item(self, name: str, *, content: str = "", parent: str = "", member: Member | None = None) -> dict[str, Any]:
        """Create a document, in the folder with the id `parent`; on the demo images a plain item, which has neither.

        Returns it as the API does. Raises UsageError for what the demo images lack.
        """
        session = self._session(member)
        if member is None and not content and not parent:
            plain = session.post(self._url("items"), json={"name": name}, timeout=_TIMEOUT_SECONDS)
            if plain.status_code == 201:
                return _object(plain)
        body = {"name": name, "content": content or name}
        return self._ask(session, f"items/documents{_in(parent)}", body, "no documents: an item has a name only")

    def folder(
        self, name: str, items: Iterable[str] = (), *, parent: str = "", member: Member | None = None
    ) -> dict[str, Any]:
        """Create a folder that contains documents with these names. Raises UsageError on the demo images."""
        session = self._session(member)
        made = self._ask(session, f"items/folders{_in(parent)}", {"name": name}, "no folders: items only")
        for each in items:
            self.item(each, content=each, parent=str(made["id"]), member=member)
        return made

    def _session(self, member: Member | None = None) -> requests.Session:
        import requests

        if member is not None:
            return member.session
        session = requests.Session()
        session.headers.update(self._stack.get_bypass_headers())
        return session

    def _url(self, path: str) -> str:
        return f"{self._stack.get_url()}/api/{path}"

    def _ask(self, session: requests.Session, path: str, body: dict[str, Any], lack: str) -> dict[str, Any]:
        answer = session.post(self._url(path), json=body, timeout=_TIMEOUT_SECONDS)
        if answer.status_code in (_NOT_FOUND, 405):
            raise UsageError(
                f"The core of this stack ({self._stack.version}) has {lack}.",
                "The demo images imitate Graasp only as far as deployments need.",
                'Use Graasp\'s own images for this test: with_images("registry").',
            )
        if not answer.ok:
            raise NeedsYou(f"Graasp answered POST /api/{path} with {answer.status_code}: {answer.text[:300]}")
        return _object(answer)

    def _mailbox(self) -> str:
        if "mailpit" not in self._stack.services:
            raise UsageError(
                "The stack has no Mailpit, and Graasp sends log-in links by mail.",
                "",
                'Switch it on: with_profiles("mailpit").',
            )
        return self._stack.get_service_url("mailpit")

    def _followed(self, mailbox: str, email: str, before: set[str]) -> requests.Session:
        """A session that has followed the link in the newest mail to this address."""
        import requests

        deadline = time.monotonic() + MAIL_SECONDS
        while True:
            for mail in _mails(mailbox, email):
                if str(mail["ID"]) in before:
                    continue
                text = requests.get(f"{mailbox}/api/v1/message/{mail['ID']}", timeout=_TIMEOUT_SECONDS).json()
                link = _LINK.search(f"{text.get('Text', '')} {text.get('HTML', '')}")
                if link:
                    return self._logged_in(link[1])
            if time.monotonic() > deadline:
                raise NeedsYou(f"No mail with a log-in link arrived for {email} within {MAIL_SECONDS:g} s.")
            time.sleep(0.1)

    def _logged_in(self, token: str) -> requests.Session:
        session = self._session()
        answer = session.get(self._url(f"auth?t={token}"), allow_redirects=False, timeout=_TIMEOUT_SECONDS)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in answer.cookies)
        if not cookies:
            raise NeedsYou(f"Graasp answered the log-in link with {answer.status_code} and no cookie.")
        # Graasp's session cookie is for HTTPS only, which a test stack does not use: sent explicitly.
        session.cookies.clear()
        session.headers["Cookie"] = cookies
        return session


def _mails(mailbox: str, email: str) -> list[dict[str, Any]]:
    """Newest first, as Mailpit lists them."""
    import requests

    listed = requests.get(f"{mailbox}/api/v1/messages", timeout=_TIMEOUT_SECONDS).json()["messages"]
    return [mail for mail in listed if any(to["Address"] == email for to in mail["To"])]


def _in(parent: str) -> str:
    return f"?parentId={parent}" if parent else ""


def _object(answer: requests.Response) -> dict[str, Any]:
    content = answer.json() if answer.content else {}
    return content if isinstance(content, dict) else {}
