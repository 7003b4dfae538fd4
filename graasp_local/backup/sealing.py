"""`.env` encrypted with a passphrase, in the age format: `age --decrypt` opens it without graasp-local."""

from __future__ import annotations

import codecs
from pathlib import Path

from graasp_local.errors import Refused, UsageError

BYTE_ORDER_MARK = "\ufeff"
"""Some editors write this before a text; it is never typed, so it is not part of a passphrase."""

SHORTEST_PASSPHRASE = 12

_TOO_MUCH_WORK = "Excessive work"
"""What age says if decrypting would take too long; it has no error class for this."""
_ATTEMPTS = 3


def passphrase_in(file: Path) -> str:
    """The passphrase in the first line of a file, as it would be typed: without line ending or byte order mark.

    Raises UsageError for a file without one, or in an unknown encoding.
    """
    content = file.read_bytes()
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        text = content.decode("utf-16" if content.startswith(marks) else "utf-8-sig")
        known = "\0" not in text
    except UnicodeDecodeError:
        text, known = "", False
    if not known:
        raise UsageError(f"{file} is not UTF-8 or UTF-16 text.", "", "Save it as UTF-8.")
    first = text.partition("\n")[0].rstrip("\r")
    if not first:
        raise UsageError(f"{file} does not contain a passphrase.", "", "Write a passphrase into its first line.")
    return first


def seal(content: bytes, passphrase: str) -> bytes:
    """Encrypt. Takes about a second, on purpose. Raises UsageError for a passphrase that is too short."""
    from pyrage import passphrase as age

    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"The passphrase is too short: at least {SHORTEST_PASSPHRASE} characters are needed.",
            "No backup was taken.",
            "Use a longer one; it protects every password of the site.",
        )
    return bytes(age.encrypt(content, passphrase))


def unseal(content: bytes, passphrase: str) -> bytes:
    """Decrypt. Raises Refused for a wrong passphrase, for content that was changed, or if it would take too long."""
    # Earlier versions took a byte order mark in the file as part of the passphrase.
    for phrase in (passphrase, f"{BYTE_ORDER_MARK}{passphrase}"):
        opened = _opened(content, phrase)
        if opened is not None:
            return opened
    raise Refused(
        "This passphrase does not decrypt the settings in this backup.",
        "Nothing was changed.",
        "Check the passphrase, or `graasp-local backup verify` the backup.",
    )


def _opened(content: bytes, passphrase: str) -> bytes | None:
    """The content; None if it was encrypted with another passphrase.

    age measures how fast the machine is at this moment, and refuses to decrypt if that would take much longer than
    encrypting did. A busy machine may be fast enough a moment later.
    """
    import pyrage

    for _ in range(_ATTEMPTS):
        try:
            return bytes(pyrage.passphrase.decrypt(content, passphrase))
        except pyrage.DecryptError as error:
            if _TOO_MUCH_WORK not in str(error):
                return None
    raise Refused(
        "Decrypting the settings in this backup would take this machine too long: it is busy now, or much slower than "
        "the one that encrypted them.",
        "Nothing was changed.",
        "Try again when it is idle, or decrypt the file on a faster machine with `age --decrypt`.",
    )
