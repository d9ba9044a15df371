"""Many trainings compared: C²VL and its baselines over seeds, and the ablations."""
