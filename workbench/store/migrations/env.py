"""Runs the migrations on the connection that `Store.upgrade` hands over."""

from alembic import context

from workbench.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
