"""From text and tables to a valid version of the policy, and to the one that is live."""
