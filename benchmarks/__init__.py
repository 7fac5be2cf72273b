"""Measurements of what the README claims: `make bench`.

Every module here measures side by side in one run, since machines are noisy and only
ratios travel, and writes a table with its command, commit and machine to `results/`.
"""
