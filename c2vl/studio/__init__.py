"""The studio: makes the demo's synthetic world as files like NTU RGB+D's, with ground truth."""
