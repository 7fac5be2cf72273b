"""The routes: parse, submit, return."""
