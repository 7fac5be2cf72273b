"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

ALL = ("service", "code", "learning")
SLOW = ("code_soak",)
"""Only run when named."""
TAKE_DATA = frozenset({"code"})
"""These also measure public data sets, which are not part of the project."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=ALL, help=f"of {', '.join(ALL)}; all by default"
    )
    parser.add_argument("--data", type=Path, help="the folder of public data sets")
    options = parser.parse_args()
    for name in options.names:
        if name not in (*ALL, *SLOW):
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(ALL)}")
        measure = importlib.import_module(f"benchmarks.{name}").main
        measure(options.data) if name in TAKE_DATA else measure()


if __name__ == "__main__":
    main()
