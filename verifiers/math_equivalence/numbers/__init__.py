"""Values: exact where they are rational, else to many digits, always bounded."""
