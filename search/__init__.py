"""The search service: studies, exact claims, workers and the command line, around Optuna."""
