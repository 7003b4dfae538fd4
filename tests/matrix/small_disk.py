"""A file system in a mounted file: a disk that can be filled to the last byte without filling the machine's disk."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")


class SmallDisk:
    """`place` contains the file and the mounted `directory`. The file is sparse, and stays between runs."""

    def __init__(self, place: Path, size_bytes: int) -> None:
        self.directory = place / "mounted"
        self._file = place / "disk.ext4"
        self._filler = self.directory / "filler"
        self._size = size_bytes

    def mount(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.directory.is_mount():
            return
        if not self._file.exists():
            with self._file.open("wb") as file:
                file.truncate(self._size)
            # Reserve nothing for root: a full disk is full for every user.
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", self._file], check=True)
        subprocess.run([*AS_ROOT, "mount", "-o", "loop", self._file, self.directory], check=True)
        subprocess.run([*AS_ROOT, "chown", str(os.geteuid()), self.directory], check=True)
        self.make_room()

    def fill(self, leave_bytes: int = 0) -> None:
        """Fill the disk except for this many bytes, in smaller and smaller pieces."""
        with self._filler.open("ab") as file:
            for piece in (256 * 1024**2, 1024**2, 4096):
                while self._free() - leave_bytes >= piece:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
                    except OSError:  # the file system's metadata needs the rest
                        break

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.directory.is_mount():
            self.make_room()
            subprocess.run([*AS_ROOT, "umount", self.directory], check=True)

    def remove(self) -> None:
        self.unmount()
        self._file.unlink(missing_ok=True)

    def _free(self) -> int:
        figures = os.statvfs(self.directory)
        return figures.f_bavail * figures.f_frsize
