"""What is on the wire, and nothing else: v3 and v4 each in its form, and here what both share."""
