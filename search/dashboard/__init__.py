"""optuna-dashboard behind a door of ours, with learning curves and metrics."""

import importlib
import sys

# Optuna's other ways to importances bring scikit-learn and pandas: 110 MB that optuna-dashboard makes no use of
if "optuna.importance" not in sys.modules and "sklearn" not in sys.modules:
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("optuna.importance")
    finally:
        del sys.modules["sklearn"]
