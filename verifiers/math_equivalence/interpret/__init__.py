"""Notations that mean more than one thing, and what decides between them."""
