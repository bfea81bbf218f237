"""`python -P -m v6srv.serving FD [--debug]`: what `v6srv start` turns into.

FD is the socket to listen on, already bound. A process of its own, because gevent has to be there
before anything that waits is imported.
"""

from gevent import config, monkey

# Who started a greenlet, and from where, is of no use here, and costs more than to start it.
config.track_greenlet_tree = False

# The master keeps real signals and children: gunicorn looks after both.
monkey.patch_all(os=False, signal=False)

from v6srv.serving.master import main  # noqa: E402

main()
