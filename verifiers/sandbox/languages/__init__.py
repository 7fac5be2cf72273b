"""Which languages programs may be written in: a file each, and a line in `LANGUAGES`."""

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from verifiers.sandbox.languages.base import Language

LANGUAGES: dict[str, Language] = {
    name: import_module(f"{__name__}.{name}").LANGUAGE
    for name in (
        "python",
        "cpp",
        "javascript",
        "bash",
    )
}

if TYPE_CHECKING:
    LanguageName = str
else:
    LanguageName = Literal[tuple(LANGUAGES)]
    """The type of a parameter: its JSON Schema lists the languages."""

__all__ = ["LANGUAGES", "Language", "LanguageName"]
