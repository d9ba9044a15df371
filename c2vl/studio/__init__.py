"""The studio: a procedural world that writes the same files as NTU RGB+D, and knows the truth about them."""
