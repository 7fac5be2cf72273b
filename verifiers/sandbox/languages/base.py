"""What the sandbox must know of a language."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from verifiers.sandbox.artefacts import PARENT

PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where compilers and interpreters are looked for, whatever the service's own PATH."""

BINARY = "program"
"""What a compiler writes, in the folder where it is started."""


@dataclass(frozen=True)
class Language:
    """How programs of a language are compiled and run.

    Attributes:
        name: what a request calls it, and its module's name.
        file_name: the source's name in its folder, where commands are started.
        compile: the compiler's command; empty where nothing is compiled.
        run: the program's command; empty for Python, which the zygotes run themselves.
        may_fork: its programs start others, as shells do.
        alias: what SandboxFusion calls it, where that is another name.
        self_test: a program that reads a line and writes it twice.
    """

    name: str
    file_name: str
    compile: tuple[str, ...]
    run: tuple[str, ...]
    self_test: str
    may_fork: bool = False
    alias: str = ""

    def missing(self) -> str | None:
        """Why the language cannot be used on this machine; None where it can."""
        if self.run and not os.access(PARENT, os.W_OK):
            return f"nothing can be written to {PARENT}"
        if self.compile and os.statvfs(PARENT).f_flag & os.ST_NOEXEC:
            return f"nothing in {PARENT} can be executed"
        for command in (self.compile, self.run):
            if (
                command
                and not command[0].startswith("./")
                and not shutil.which(command[0], path=PATH)
            ):
                return f"{command[0]} is not installed"
        return None
