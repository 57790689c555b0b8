"""How wrong: the project's protocol, and the files that hold its results."""
