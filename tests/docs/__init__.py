"""The documentation: its commands are run, its samples checked, its links followed."""
