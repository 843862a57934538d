"""The commands as Python functions, for notebooks and scripts: `import search; search.run("lab")`.

A name is that of a study in `studies/` or the path of a study file. Where an argument is left out, the environment
decides as it does for the commands: `SEARCH_STORAGE` and `SEARCH_STORAGE_PASSWORD_FILE` for `storage`, and for how
workers train (`workers`, `data_dir`, `device`, `engine`, `slots`, ...) what `search.worker.settings` names.
"""

from search.api.comparisons import compare
from search.api.downloads import artifacts
from search.api.imports import adopt, fork, import_trials
from search.api.lives import copy, delete, rename
from search.api.notices import notify
from search.api.orders import amend, enqueue, extend, pause, resume, retry, stop
from search.api.publications import publish
from search.api.results import confirm, export, predict, replay, report, reproduce
from search.api.runs import run
from search.api.simulations import simulate
from search.api.studies import create, load, status, work
from search.api.trials import export_trials

__all__ = [
    "run",
    "create",
    "work",
    "load",
    "status",
    "extend",
    "amend",
    "retry",
    "enqueue",
    "pause",
    "resume",
    "stop",
    "delete",
    "rename",
    "copy",
    "artifacts",
    "import_trials",
    "fork",
    "adopt",
    "notify",
    "replay",
    "confirm",
    "export",
    "export_trials",
    "predict",
    "publish",
    "report",
    "compare",
    "reproduce",
    "simulate",
]
