"""Searches in simulated time over recorded trainings, by the code that real workers run."""
