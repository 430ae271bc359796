"""`python -m cartsim`: the command where the environment's script folder is not on the path."""

import sys

from cartsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
