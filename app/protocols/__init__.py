"""Other systems' wire formats: each parses its request and renders its reply, no more."""
