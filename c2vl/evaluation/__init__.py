"""Protocols on frozen encoders: linear, KNN, fusion, zero-shot, retrieval; scores of engines."""
