"""The checks of `c2vl doctor`: a module a topic, a finding a line."""
