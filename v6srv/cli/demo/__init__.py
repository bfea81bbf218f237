"""A network to look at: nodes and researchers of both generations, played in one process."""
