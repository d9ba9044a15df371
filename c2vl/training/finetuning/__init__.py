"""Protocols that train the encoder on labels: finetune, semi-supervised, transfer."""
