"""How core and workers reach the site at its own address: the variables for the stack, and the certificate.

They fetch uploaded files from PUBLIC_URL. In their own network that name resolves to nginx, on the same port; for an IP
address, a file that node loads redirects the connection instead. For https, nginx shows them a certificate that the
site made itself, which only they trust and see.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from graasp_local.files import text_if_there, write_atomically
from graasp_local.settings.rules import is_address

AUTHORITY_FILE = "inside-authority"
"""What core and workers trust: the certificate alone."""

CERTIFICATE_FILE = "inside-certificate"
"""What nginx shows: the certificate and its key."""

CLASSIFIER = "http://nudenet:8080/infer"


def inside_variables(public_url: str, profiles: tuple[str, ...]) -> Mapping[str, str]:
    """The variables that Compose is given in addition to `.env`. Pure."""
    url = urlsplit(public_url)
    host = url.hostname or "localhost"
    told = {
        "GRAASP_PUBLIC_HOST": host,
        # Every container has `localhost` in its own hosts file, which usually comes first.
        "GRAASP_NAMES": "network-first" if host == "localhost" else "files-first",
        "GRAASP_INSIDE_AUTHORITY": f"/run/secrets/{AUTHORITY_FILE}" if url.scheme == "https" else "",
        # An IP address cannot be a name of nginx in the network.
        **(_by_address(host, url.port or (443 if url.scheme == "https" else 80)) if is_address(host) else {}),
        # Whether the client serves what is not core's, or core serves everything.
        "GRAASP_CLIENT": "on" if "client" in profiles else "",
        "GRAASP_IMAGE_CLASSIFIER": CLASSIFIER if "nudenet" in profiles else "",
    }
    return {key: value for key, value in told.items() if value}


def _by_address(host: str, port: int) -> Mapping[str, str]:
    return {
        "GRAASP_NODE_OPTIONS": "--require=/etc/graasp-by-address.cjs",
        "GRAASP_INSIDE_INSTEAD_OF": f"{ipaddress.ip_address(host)} {port}",
    }


def write_inside_certificate(directory: Path, public_url: str, used: Path | None = None) -> None:
    """Put both files for this address into `directory`, empty ones for plain http; writes only what differs.

    Files in `used` are reused if they are for this address, since running containers already have them.
    """
    url = urlsplit(public_url)
    mark = f"# for {url.hostname}\n" if url.scheme == "https" else ""
    authority, certificate = directory / AUTHORITY_FILE, directory / CERTIFICATE_FILE
    there = text_if_there(authority), text_if_there(certificate)
    if all(file.exists() for file in (authority, certificate)) and (
        all(text.startswith(mark) for text in there) if mark else not any(there)
    ):
        return
    if mark and used is not None and text_if_there(used / CERTIFICATE_FILE).startswith(mark):
        texts = text_if_there(used / AUTHORITY_FILE), text_if_there(used / CERTIFICATE_FILE)
    else:
        shown, key = _made(url.hostname or "") if mark else ("", "")
        texts = mark + shown, mark + shown + key
    write_atomically(authority, texts[0], mode=0o444)
    write_atomically(certificate, texts[1], mode=0o400)


def _made(host: str) -> tuple[str, str]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    from graasp_local.tls.certificate import key_text, new_key

    key, now = new_key(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "graasp-local inside")])
    alternative: x509.GeneralName = (
        x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host)
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=20 * 365))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        # Trusted for this one name: it cannot sign others.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode(), key_text(key)
