"""A database, reached and waited for, and the tables in it."""
