"""The HTTP server: gunicorn with gevent workers, and what it asks of connections."""
