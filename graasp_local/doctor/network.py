"""Questions to the network, each with a time limit: names, certificates, clocks, mail.

Uses the standard library only. What does not answer is reported as unknown, never as good.
"""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from graasp_local.doctor.facts import Certificate, Fact, HostName, Known, MailServer, Unknown

TIMEOUT_SECONDS = 5.0


def host_name(name: str, port: int) -> HostName:
    """The IP addresses that a name resolves to from here, and which IPv6 ones do not answer at the visitors' port.

    Names below localhost are this machine, as in browsers.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return HostName(name, ("127.0.0.1",))
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return HostName(name, ())
    addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    return HostName(name, addresses, silent_addresses(addresses, port))


def silent_addresses(addresses: Sequence[str], port: int) -> tuple[str, ...]:
    """The IPv6 addresses that do not answer, although visitors and certificate authorities try them first.

    While no address answers at all, the site may just be off: then only addresses without a route count.
    """
    of_ipv6 = [address for address in addresses if ":" in address]
    if not of_ipv6:
        return ()
    troubles = {address: _trouble(address, port) for address in of_ipv6}
    site_answers = any(_trouble(address, port) is None for address in addresses if address not in troubles)
    return tuple(
        address
        for address, trouble in troubles.items()
        if trouble is not None and (site_answers or trouble in (errno.ENETUNREACH, errno.EADDRNOTAVAIL))
    )


def _trouble(address: str, port: int) -> int | None:
    """None if a connection is accepted, otherwise the error number."""
    try:
        socket.create_connection((address, port), timeout=TIMEOUT_SECONDS).close()
    except OSError as error:
        return error.errno or errno.ETIMEDOUT
    return None


def certificate(url: str, context: ssl.SSLContext | None = None) -> Fact[Certificate | None]:
    """The certificate served for an https URL, judged as browsers do; None for an http one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return Known(None)
    trusted = context or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, parts.port or 443), timeout=TIMEOUT_SECONDS) as connection,
            trusted.wrap_socket(connection, server_hostname=host) as secured,
        ):
            served = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Known(Certificate(host, None, error.verify_message))
    except ssl.SSLError as error:
        return Known(Certificate(host, None, f"the TLS handshake failed ({error.reason})"))
    except OSError:
        return Unknown(f"{host}:{parts.port or 443} does not answer from here")
    ends = ssl.cert_time_to_seconds(str(served["notAfter"]))
    return Known(Certificate(host, int((ends - time.time()) // 86400)))


def clock_ahead(url: str) -> Fact[float]:
    """How many seconds this machine's clock is ahead of the clock of this URL's server."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        asked = time.time()
        connection.request("HEAD", parts.path or "/", headers={"Connection": "close"})
        date = connection.getresponse().getheader("Date")
        now = (asked + time.time()) / 2
    except (OSError, HTTPException):
        return Unknown(f"{parts.hostname} does not answer, so there is no clock to compare with")
    finally:
        connection.close()
    if date is None:
        return Unknown(f"{parts.hostname} does not send the time")
    return Known(now - parsedate_to_datetime(date).timestamp())


def mail_server(connection: str) -> Fact[MailServer]:
    """Whether the server of an `smtp://user:password@host:port` accepts EHLO. Does not log in and sends nothing."""
    parts = urlsplit(connection)
    host, port = parts.hostname or "", parts.port or 0
    if host == "localhost" or host.startswith("127."):
        return Unknown(f"MAILER_CONNECTION points to {host}, and inside core's container that is the container itself")
    if "." not in host:
        return Unknown(f"only the site's containers can resolve the name {host}")
    kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    try:
        with kind(host, port, timeout=TIMEOUT_SECONDS) as server:
            code, _ = server.ehlo()
    except socket.gaierror:
        return Known(MailServer(host, port, "does not resolve"))
    except smtplib.SMTPException as error:
        return Known(MailServer(host, port, f"answers, but not as a mail server does ({type(error).__name__})"))
    except OSError as error:
        return Known(MailServer(host, port, f"does not answer from here ({error.strerror or error})"))
    return Known(MailServer(host, port, "" if code == 250 else f"answers EHLO with {code}"))
