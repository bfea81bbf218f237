"""Use cases of more than one step."""
