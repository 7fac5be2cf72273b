"""`python -m app.cli`: the same as `assay`."""

from app.cli import main

main()
