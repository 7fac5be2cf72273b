"""Shell scripts, by Bash, with the machine's usual commands."""

from verifiers.sandbox.languages.base import Language

LANGUAGE = Language(
    name="bash",
    file_name="main.sh",
    compile=(),
    run=("bash", "main.sh"),
    self_test='read -r line\necho "$line"\necho "$line" | cat\n',
    may_fork=True,
)
