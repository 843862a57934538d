"""A process of its own for an objective of the user's own: what runs in it, and how it is spoken to.

The process knows it under a private name and nothing else of ours, so that modules of the user's may be called as ours.
"""
