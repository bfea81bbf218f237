"""What a new policy changes: the exact decisions that differ, and why."""
