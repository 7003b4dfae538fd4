"""Scripts that run inside a container to unpack, swap and tidy a volume's files for the restore with a given number.

A volume cannot be renamed, so the swap happens inside it, by renaming its top-level entries:

    .graasp-restored-N      unpacked, not in place yet
    .graasp-before-N.part   the swap has begun: some of the previous files are in here
    .graasp-before-N        all of the previous files are in here; what was unpacked is moving up, or has moved

Every script first checks which of these exist, so that it continues where a killed one stopped. The names begin with a
dot and our own prefix; none of Graasp's do.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

MOUNT = "/volume"

_LEFT_OUT = """\
set -eu
cd /volume
left_out() {
  all=$(find . -mindepth 1 -maxdepth 1)
  if [ $# = 0 ]; then printf '%s\\n' "$all" | grep '^\\./\\.graasp-' || true; return; fi
  for name in "$@"; do all=$(printf '%s\\n' "$all" | grep -v -x -F "./$name" || true); done
  printf '%s\\n' "$all"
}
left_out "$@" | sed '/^$/d; s/[][*?\\\\]/\\\\&/g' >/tmp/left-out
"""
"""What a backup omits from a volume: all but the given names; without names, what a restore put there."""

MEASURE = (
    _LEFT_OUT
    + """\
exec du -sk -X /tmp/left-out .
"""
)


def pack(without: Sequence[str]) -> str:
    """A script that writes a tar archive of a volume, without the members that have one of these names."""
    exactly = ["--anchored", "--no-wildcards", *(f"--exclude={name}" for name in without)] if without else []
    return (
        f"{_LEFT_OUT}exec tar --create --file - --numeric-owner --exclude-from=/tmp/left-out {shlex.join(exactly)} .\n"
    )


_NAMES = """\
set -eu
cd /volume
new=.graasp-restored-$1 old=.graasp-before-$1
like() { chmod "$(stat -c %a "$1")" "$2"; chown "$(stat -c %u:%g "$1")" "$2"; }
top() { find . -mindepth 1 -maxdepth 1 ! -name '.graasp-*' "$@"; }
inside() { find "$1" -mindepth 1 -maxdepth 1 -exec mv {} . \\; ; rmdir "$1"; }
"""

UNPACK = (
    _NAMES
    + """\
rm -rf "$new"
mkdir "$new"
tar --extract --file - --directory "$new" --numeric-owner --preserve-permissions
sync
"""
)

IS_SWAPPED = (
    _NAMES
    + """\
if [ -d "$old" ] || [ -d "$old.part" ]; then echo yes; else echo no; fi
"""
)

SWAP_IN = (
    _NAMES
    + """\
if [ ! -d "$old" ]; then
  if [ ! -d "$new" ]; then echo "error: nothing was unpacked for this restore" >&2; exit 3; fi
  mkdir -p "$old.part"
  like . "$old.part"
  top -exec mv {} "$old.part/" \\;
  if [ -n "$(top)" ]; then echo "error: what was there could not be moved aside" >&2; exit 4; fi
  mv "$old.part" "$old"
fi
if [ -d "$new" ]; then
  like "$new" .
  inside "$new"
fi
sync
"""
)

SWAP_OUT = (
    _NAMES
    + """\
if [ -d "$old" ]; then
  mkdir -p "$new"
  like . "$new"
  top -exec mv {} "$new/" \\;
  if [ -n "$(top)" ]; then echo "error: what was restored could not be moved aside" >&2; exit 4; fi
  mv "$old" "$old.part"
fi
if [ -d "$old.part" ]; then
  like "$old.part" .
  inside "$old.part"
fi
sync
"""
)

DROP_KEPT = """\
set -eu
cd /volume
for kept in .graasp-restored-* .graasp-before-*; do
  case $kept in *'*') continue ;; esac
  for number in "$@"; do
    case $kept in *-"$number" | *-"$number".part) continue 2 ;; esac
  done
  rm -rf "$kept"
done
"""
