"""Everything wrong with a folder of policies, and how it is told."""
