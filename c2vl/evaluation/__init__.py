"""Protocols on frozen encoders: linear, KNN, fusion of streams; comparison over seeds."""
