"""Knowledge prompts: crops of frames, answers about them, and the features of both."""
