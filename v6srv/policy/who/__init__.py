"""Who may do something, and what somebody may do."""
