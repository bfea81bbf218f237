"""Who asks: passwords, tokens, second factors, and the principal of a request or socket."""
