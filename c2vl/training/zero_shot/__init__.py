"""Training for zero-shot recognition: which classes are unseen, and encoders that never see them."""
