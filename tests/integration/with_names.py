"""graasp-local on a machine that resolves some more names, as a name server would: NAME=ADDRESS in $TEST_NAMES.

Containers are told by `extra_hosts` in the site's override.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psycopg

from graasp_local.cli.main import main

COMMAND = [sys.executable, str(Path(__file__).resolve())]
"""What a test runs instead of graasp-local."""

_NAMES = dict(pair.split("=") for pair in os.environ.pop("TEST_NAMES", "").split() if pair)
_connect = psycopg.connect


def _knowing_names(*words: Any, **options: Any) -> Any:
    address = _NAMES.get(options.get("host", ""))
    return _connect(*words, **{**options, **({"hostaddr": address} if address else {})})


if __name__ == "__main__":
    psycopg.connect = _knowing_names
    main()
