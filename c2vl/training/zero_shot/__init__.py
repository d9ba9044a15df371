"""Zero-shot training: which classes are unseen, and encoders that never see them."""
