"""Zero-shot recognition by the field's protocols: classes that no training has seen."""
