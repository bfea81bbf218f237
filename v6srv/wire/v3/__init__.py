"""Bodies, queries and answers of 3.x (contract of 3.11.1)."""
