"""Building an image from sources with `docker build`: reports each step, and keeps the log on failure."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import Refused

# `#7 [builder 3/12] RUN yarn install` from BuildKit, `Step 3/12 : RUN yarn install` from the builder before it.
_STEP = re.compile(r"#\d+ (\[[^\]]*\d+/\d+\] .*)|(Step \d+/\d+ : .*)")
_LAST_LINES = 15
_ERRORS = 5
_ERROR = re.compile(r"\berror\b|ERR!", re.IGNORECASE)
_SUMMARY = "------"
"""BuildKit repeats below this line the end of the step that failed, and its place in the Dockerfile."""


class Build(Struct, frozen=True):
    """One image to build; `sources` is the build's context, which need not contain `dockerfile`."""

    image: str
    dockerfile: Path
    sources: Path
    arguments: Mapping[str, str]
    log: Path


def build_image(build: Build, narrate: Callable[[str], None]) -> Iterator[str]:
    """Build; yields each step as it begins.

    If it fails, yields the log's last lines and the last errors before them, keeps the log, and raises Refused.
    """
    # BuildKit runs steps in parallel, and prints a step again whenever it returns to that step's output.
    begun: set[str] = set()
    words = ["docker", "build", "--tag", build.image, "--file", str(build.dockerfile)]
    for key, value in build.arguments.items():
        words += ["--build-arg", f"{key}={value}"]
    words.append(str(build.sources))
    narrate(shlex.join(words))
    build.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    last: deque[str] = deque(maxlen=_LAST_LINES)
    errors: deque[str] = deque(maxlen=_ERRORS)
    is_summary = False
    with build.log.open("w", buffering=1) as log:  # line by line, for anyone who follows it
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        assert process.stdout is not None  # noqa: S101
        try:
            for line in process.stdout:
                log.write(line)
                is_summary = is_summary or line.rstrip() == _SUMMARY
                if not is_summary:
                    if len(last) == _LAST_LINES and _ERROR.search(last[0]):
                        errors.append(last[0])
                    last.append(line.rstrip())
                if (step := _STEP.fullmatch(line.rstrip())) and step[0] not in begun:
                    begun.add(step[0])
                    yield step[1] or step[2]
            code = process.wait()
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code != 0:
        yield from errors
        yield from last
        raise Refused(
            f"{build.image} could not be built (docker build ended with exit code {code}).",
            "The site is unchanged.",
            f"The whole output is in {build.log}.",
        )
    build.log.unlink()
