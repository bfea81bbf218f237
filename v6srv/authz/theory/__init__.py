"""What can be said of expressions, rows and callers without having any: what can be true at all."""
