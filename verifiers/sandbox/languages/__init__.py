"""Which languages programs may be written in: a file each, and a line in `LANGUAGES`."""

from verifiers.sandbox.languages import bash, cpp, javascript, python
from verifiers.sandbox.languages.base import Language

LANGUAGES: dict[str, Language] = {
    module.LANGUAGE.name: module.LANGUAGE for module in (python, cpp, javascript, bash)
}

__all__ = ["LANGUAGES", "Language"]
