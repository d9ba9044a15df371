"""Which frames of a video to look at, and how to get exactly those."""
