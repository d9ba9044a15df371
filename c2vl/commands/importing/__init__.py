"""Read checkpoints that other projects published (`c2vl import-checkpoint`)."""
