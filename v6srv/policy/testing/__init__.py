"""The tests beside a policy: read, run, measured."""
