"""What a pose is: skeletons, poses, conversion, handedness, proportions. NumPy only."""
