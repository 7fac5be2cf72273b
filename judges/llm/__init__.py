"""Calls to LLM judges: what is asked, what comes back, and who answers."""
