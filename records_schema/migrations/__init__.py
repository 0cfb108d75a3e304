"""Alembic's environment, and the versions: an SQL file each, and the lines of Python that give its place.

Forward only: an effect's record must not be undone by a downgrade. Write each version so that the release
before it goes on working on the new schema, since workers of both run side by side during a rollout.
"""
