"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import argparse
import importlib

ALL = ("service",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=ALL, help=f"of {', '.join(ALL)}; all by default"
    )
    for name in parser.parse_args().names:
        if name not in ALL:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(ALL)}")
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
