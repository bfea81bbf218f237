"""Looking back at decisions."""
