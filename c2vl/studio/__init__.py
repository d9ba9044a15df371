"""The studio: a procedural world that writes files like those of NTU RGB+D, with ground truth."""
