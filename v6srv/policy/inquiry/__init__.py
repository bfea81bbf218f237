"""One question taken apart, line by line and term by term, in words."""
