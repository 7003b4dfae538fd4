"""How core and workers reach the site under its own name: what the stack is told, and the certificate they trust."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from graasp_local.stack.inside import AUTHORITY_FILE, CERTIFICATE_FILE, inside_variables, write_inside_certificate


@pytest.mark.parametrize(
    ("url", "host", "names", "is_trusted"),
    [
        ("http://localhost:8080", "localhost", "network-first", False),
        ("http://graasp.localhost", "graasp.localhost", "files-first", False),
        ("https://graasp.school.example:8443", "graasp.school.example", "files-first", True),
        ("https://localhost", "localhost", "network-first", True),
    ],
)
def test_the_name_of_the_site_is_nginx_inside(url: str, host: str, names: str, is_trusted: bool) -> None:
    told = inside_variables(url, ())
    assert (told["GRAASP_PUBLIC_HOST"], told["GRAASP_NAMES"]) == (host, names)
    assert ("GRAASP_INSIDE_AUTHORITY" in told) is is_trusted


@pytest.mark.parametrize(
    ("url", "instead_of"),
    [
        ("http://192.0.2.7", "192.0.2.7 80"),
        ("https://192.0.2.7", "192.0.2.7 443"),
        ("http://[2001:DB8::0:1]:8080", "2001:db8::1 8080"),  # as node writes it
    ],
)
def test_an_address_that_no_network_can_give_to_nginx_is_routed_there_by_node(url: str, instead_of: str) -> None:
    told = inside_variables(url, ())
    assert told["GRAASP_NODE_OPTIONS"].endswith("by-address.cjs")
    assert told["GRAASP_INSIDE_INSTEAD_OF"] == instead_of
    assert "GRAASP_NODE_OPTIONS" not in inside_variables("http://localhost:8080", ())


def test_a_profile_that_is_on_sets_what_core_needs_of_it() -> None:
    assert inside_variables("http://localhost", ("files", "nudenet"))["GRAASP_IMAGE_CLASSIFIER"].endswith("/infer")
    assert "GRAASP_IMAGE_CLASSIFIER" not in inside_variables("http://localhost", ("files",))


def test_the_certificate_is_for_the_name_and_stays_until_that_changes(tmp_path: Path) -> None:
    certificate, authority = tmp_path / CERTIFICATE_FILE, tmp_path / AUTHORITY_FILE
    write_inside_certificate(tmp_path, "https://graasp.school.example")
    first = certificate.read_text()
    ssl.create_default_context(cafile=str(authority))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate)
    assert "PRIVATE KEY" not in authority.read_text()
    write_inside_certificate(tmp_path, "https://graasp.school.example:8443")
    assert certificate.read_text() == first
    write_inside_certificate(tmp_path, "https://other.school.example")
    assert certificate.read_text() != first
    write_inside_certificate(tmp_path, "http://other.school.example")
    assert (certificate.read_text(), authority.read_text()) == ("", "")
