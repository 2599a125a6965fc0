"""`python -m autotune` is the same as `autotune`."""

import sys

from autotune.cli import main

sys.exit(main())
