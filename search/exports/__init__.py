"""A trained network to take away: its file, its card, its predictions."""
