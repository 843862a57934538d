"""`python -m search` is the `search` command."""

import sys

from search import cli

if __name__ == "__main__":
    sys.exit(cli.main())
