"""`python -P -m v6srv.serving FD [--debug]`: what `v6srv start` turns into.

FD is the socket to listen on, already bound. A process of its own, because gevent has to be there
before anything that waits is imported.
"""

from gevent import monkey

# The master keeps real signals and children: gunicorn looks after both.
monkey.patch_all(os=False, signal=False)

from v6srv.serving.master import main  # noqa: E402

main()
