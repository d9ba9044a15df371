"""What `c2vl init` writes."""
