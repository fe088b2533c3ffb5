"""``python -m minidw``."""

from minidw.cli import main

raise SystemExit(main())
