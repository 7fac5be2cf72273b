"""Exact scorers, and the contract that every scorer keeps."""
