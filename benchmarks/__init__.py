"""Our speed beside our peers'; run with ``make bench``."""
