"""optuna-dashboard behind a door of ours, with learning curves and metrics."""
