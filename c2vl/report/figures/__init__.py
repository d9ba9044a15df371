"""The report's figures, one idea a file; each returns a `Plot`, or None where there is nothing to draw."""
