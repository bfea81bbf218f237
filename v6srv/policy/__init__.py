"""What people do with policies: check, test, explain, compare, publish, look back."""
