"""Where the `search` command and its workers begin: nothing called as a package of ours comes before ours.

A folder of the user's, or one on PYTHONPATH, may hold a `search.py` or a package `models`.
"""

import importlib.machinery
import importlib.util
import pathlib
import sys

HOME = pathlib.Path(__file__).resolve().parent


def main() -> int:
    """The `search` command; after `--keep` the keeper of a worker: see `search.worker.restarts`."""
    if "search" not in sys.modules:
        spec = importlib.machinery.PathFinder.find_spec("search", [str(HOME)])
        assert spec is not None
        assert spec.loader is not None
        sys.modules["search"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["search"])
    if sys.argv[1:2] == ["--keep"]:
        from search.worker import restarts

        return restarts.main(sys.argv[2:])
    from search import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
