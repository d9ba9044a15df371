"""The C²VL objective: InfoNCE, soft targets, partition, progressive control, teachers."""
