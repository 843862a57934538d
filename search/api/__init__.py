"""The commands as Python functions, for notebooks and scripts: `import search; search.run("lab")`.

A name is that of a study in `studies/` or the path of a study file. Where an argument is left out, the environment
decides as it does for the commands: `SEARCH_STORAGE` and `SEARCH_STORAGE_PASSWORD_FILE` for `storage`, and for how
workers train (`workers`, `data_dir`, `device`, `engine`, `slots`, ...) what `search.worker.settings` names.
"""

from search.api.results import confirm, export, predict, replay, report, reproduce
from search.api.studies import create, enqueue, extend, load, pause, resume, retry, run, status, stop, work

__all__ = [
    "run",
    "create",
    "work",
    "load",
    "status",
    "extend",
    "retry",
    "enqueue",
    "pause",
    "resume",
    "stop",
    "replay",
    "confirm",
    "export",
    "predict",
    "report",
    "reproduce",
]
