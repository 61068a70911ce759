"""Many positions on the same bars at once, for their figures alone."""
