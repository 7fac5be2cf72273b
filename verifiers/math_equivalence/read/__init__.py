"""From text to expressions, structures and words."""
