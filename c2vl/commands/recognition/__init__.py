"""Using what was learnt: actions and sentences for skeletons, from skeleton files alone."""
