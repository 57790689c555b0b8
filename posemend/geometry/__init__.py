"""Where things are: cameras, alignment, up direction. NumPy only."""
