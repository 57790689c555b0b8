"""What learning and running must agree on: the codec and the card. NumPy only."""
