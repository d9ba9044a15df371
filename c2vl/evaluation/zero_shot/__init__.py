"""Zero-shot recognition of classes that no training has seen: heads, gate, accuracies."""
