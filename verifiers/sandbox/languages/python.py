"""Python: run by the zygotes, whose interpreter is already up."""

from verifiers.sandbox.languages.base import Language

LANGUAGE = Language(
    name="python",
    file_name="main.py",
    compile=(),
    run=(),
    self_test="line = input()\nprint(line)\nprint(line)\n",
)
