"""The command line: the doors to every room, and the only place where both arms meet."""
