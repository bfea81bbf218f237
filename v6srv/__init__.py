"""v6srv: one policy for REST, lists and sockets of a federated analysis server."""
