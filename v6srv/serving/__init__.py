"""The HTTP server: gunicorn with one gevent worker, and what it asks of connections."""
