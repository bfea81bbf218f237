"""How a policy goes live, and comes out again."""
