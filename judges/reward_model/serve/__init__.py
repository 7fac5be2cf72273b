"""Reward models behind a name: batched, swapped, scored."""
