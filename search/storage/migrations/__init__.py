"""Alembic's steps from the tables of one version of this program to the next; `search.storage.upgrades` takes them."""
