"""Bodies, queries and answers of 4.x (contract of 4.15.2)."""
