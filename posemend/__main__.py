"""``python -m posemend`` is the command ``posemend``."""

from __future__ import annotations

import sys

from posemend.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
