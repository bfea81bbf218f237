"""The rows of an instance on the command line: the endpoints of 4.x, asked without HTTP."""
