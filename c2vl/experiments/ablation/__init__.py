"""Declared sweeps over the parameters of pretraining: the paper's tables VI-VIII and Fig. 6, and what the paper leaves open."""
