"""Is this machine ready: one line a finding, with what to do about it."""
