"""Run by alembic for each command; the connection is in a transaction of `v6srv.migrations`."""

from alembic import context

from v6srv.migrations import autogenerate_options

context.configure(**context.config.attributes, **autogenerate_options())
context.run_migrations()
