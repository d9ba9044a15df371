"""Sweeps over pretraining parameters: the paper's Tables VI-VIII and Fig. 6, and others."""
