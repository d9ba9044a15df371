"""Knowledge prompts: from frames to the crops, answers and features that teach the skeleton encoder."""
