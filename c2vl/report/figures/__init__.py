"""The report's figures, one idea a file; each function returns a `Plot`, or None without data."""
