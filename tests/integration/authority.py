"""An authority that gives out certificates by ACME, on this machine: pebble, which is made for tests."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from graasp_local.testing.ports import free_port
from graasp_local.tls.certificate import key_text, new_key
from tests.integration.demo_site import wait_for


@dataclass(frozen=True)
class Authority:
    """`environment` makes graasp-local trust it, as an authority of one's own would be trusted."""

    directory: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path


def self_signed(directory: Path, *names: str, days: int = 90) -> Files:
    """A certificate that is its own authority, and its key, as two files."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key, now = new_key(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {names[0]}")])
    alternatives = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    files = Files(directory / "fullchain.pem", directory / "privkey.pem")
    files.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    files.key.write_text(key_text(key))
    return files


@contextmanager
def running_authority(directory: Path, http_port: int) -> Iterator[Authority]:
    """Asks every name at this port of 127.0.0.1, where the real ones ask at port 80 of whatever the name leads to."""
    files = self_signed(directory, "localhost")
    port, management, dns, dns_management = (free_port() for _ in range(4))
    configuration = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(files.certificate),
        "privateKey": str(files.key),
        "httpPort": http_port,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (directory / "pebble.json").write_text(json.dumps({"pebble": configuration}))
    names = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}"]
    names += ["-management", f"127.0.0.1:{dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", ""]
    authority = ["pebble", "-config", str(directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (directory / "pebble.log").open("w") as log:
        processes = [subprocess.Popen(words, stdout=log, stderr=log, env=environment) for words in (names, authority)]
    url = f"https://127.0.0.1:{port}/dir"
    try:
        wait_for(lambda: _answers(url), "the authority answers")
        yield Authority(url, {"REQUESTS_CA_BUNDLE": str(files.certificate)})
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5, context=ssl._create_unverified_context()).close()
    except OSError:
        return False
    return True
