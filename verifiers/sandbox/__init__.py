"""What untrusted programs run in. See README.md beside this file: covered, not covered.

Nothing is imported here: the zygote loads single modules of this package into a process
that every submission is a copy of, and each module more makes every fork dearer.
"""
