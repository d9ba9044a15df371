"""The drawings of `c2vl show`: one sample as a page or an animation."""
