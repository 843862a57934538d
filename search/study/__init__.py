"""A study as its file says it: text in, frozen data out."""
