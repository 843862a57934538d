"""The training itself: data, network, engines. Knows nothing of Optuna, databases or `search/`."""
