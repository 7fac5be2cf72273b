"""What a reward model learned, and what it may have learned instead."""
