"""What is hidden, and what a detector makes of it. NumPy (and SciPy's filters) only."""
