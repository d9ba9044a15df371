"""Skeleton encoders and their registry."""
