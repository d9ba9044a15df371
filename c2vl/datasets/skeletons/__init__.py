"""Skeletons: the rules that denoise them, the stage, its table, and files for other projects."""
