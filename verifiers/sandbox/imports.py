"""Loads the modules that a program names, once for all of its runs.

Only what is listed: importing is done outside the sandbox, so nothing that a program could
have a say in, and nothing whose import has effects.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys

STANDARD = frozenset(
    (
        *("abc", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections"),
        *("collections.abc", "contextlib", "copy", "dataclasses", "datetime", "decimal"),
        *("enum", "fractions", "functools", "hashlib", "heapq", "io", "itertools", "json"),
        *("math", "numbers", "operator", "os", "queue", "random", "re", "statistics"),
        *("string", "struct", "sys", "textwrap", "threading", "time", "types", "typing"),
        *("unicodedata", "zlib"),
    )
)
"""Modules of the standard library worth loading before the fork."""

PACKAGES = ("numpy",)
"""Packages that programs may use where they are installed beside the service."""

IMPORT = re.compile(
    rb"(?:^|;)[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.M
)
"""Read by pattern: parsing hostile source is left to the sandbox."""

MAX_IMPORTS = 64


def imported(source: bytes) -> set[str]:
    """Names of modules in the program's import statements, comments and strings included."""
    names: set[str] = set()
    for count, match in enumerate(IMPORT.finditer(source)):
        if count >= MAX_IMPORTS:
            break
        listed = match[1] or match[2]
        names.update(part.split()[0].decode() for part in listed.split(b",") if part.strip())
    return names


def preload(source: bytes, site_packages: str | None) -> None:
    """Imports what is listed here of what `source` names."""
    names = imported(source)
    for name in sorted(STANDARD & names):
        importlib.import_module(name)
    packages = [name for name in PACKAGES if name.encode() in source]  # `__import__` counts too
    if packages and site_packages is not None:
        sys.path.append(site_packages)  # the sandbox lets it read these packages alone
        for name in packages:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
