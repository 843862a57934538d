"""A file for each version of our tables. A file that was released changes no more."""
