"""One trial trained: objectives, what is recorded of them, when it is hopeless, and the same once more."""
