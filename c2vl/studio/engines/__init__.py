"""Training of the shipped tiny engines on the studio's stills."""
