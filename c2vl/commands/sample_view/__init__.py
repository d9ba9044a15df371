"""One sample as a picture: what the stages made of it."""
