"""Measurements of what the README claims, side by side with the systems it names."""
