"""One test for each quirk of the reference server, named after it, that shows better behaviour."""
