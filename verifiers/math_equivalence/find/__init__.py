"""Where in a completion the answer is."""
