"""What is run of a program in another language: its source or binary, in a folder of its own.

The folders are named by the hash of language and source, so that a program is compiled once.
They lie in a folder of the zygote's, which goes when the zygote goes.

Modules that only this needs are imported where they are used: a zygote is the lighter for it,
and so is every fork.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

MAX_FOLDERS = 64
MAX_FILE_BYTES = 32 * 1024 * 1024
"""Of anything that a compiler writes: together with the above, what the disk may hold."""

PARENT = "/tmp"


class Artefacts:
    """The folder of one zygote. Every method also runs in the supervisors that it forks."""

    def __init__(self) -> None:
        self.folder = os.path.join(PARENT, f"assay-sandbox-{os.urandom(8).hex()}")

    def remove(self) -> None:
        if os.path.isdir(self.folder):
            remove(self.folder)

    def of(
        self,
        language: dict[str, Any],
        source: bytes,
        uid: int | None,
        compile_in: Callable[[str], str | None],
    ) -> tuple[str, str | None]:
        """The folder to run a program in, and why it could not be compiled.

        A failure is not remembered. `compile_in` compiles in a folder that belongs to `uid`.
        """
        import hashlib

        os.makedirs(self.folder, 0o711, exist_ok=True)  # the slot's user sees nothing in it
        key = hashlib.sha256(repr(sorted(language.items())).encode() + b"\0" + source)
        folder = os.path.join(self.folder, key.hexdigest())
        if os.path.isdir(folder):
            os.utime(folder)
            return folder, None
        building = os.path.join(self.folder, "building")
        with contextlib.suppress(FileNotFoundError):
            remove(building)
        os.mkdir(building, 0o755)
        with open(os.path.join(building, language["file_name"]), "wb") as file:
            file.write(source)
        failure = own_while(building, uid, compile_in)
        if failure is None:
            os.rename(building, folder)
            self._forget_oldest()
        return folder, failure

    def _forget_oldest(self) -> None:
        folders = [entry.path for entry in os.scandir(self.folder)]
        for folder in sorted(folders, key=os.path.getmtime)[:-MAX_FOLDERS]:
            with contextlib.suppress(OSError):
                remove(folder)


def own_while(folder: str, uid: int | None, compile_in: Callable[[str], str | None]) -> str | None:
    """Compiles in a folder that belongs to `uid` for so long, and to us after."""
    if uid is None:
        return compile_in(folder)
    os.chown(folder, uid, uid)
    try:
        return compile_in(folder)
    finally:
        os.chown(folder, os.getuid(), os.getgid())


def remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder)
