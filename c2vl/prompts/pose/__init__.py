"""Stage `pose`: 2D skeletons from videos: who is followed, who is kept, where their joints are."""
