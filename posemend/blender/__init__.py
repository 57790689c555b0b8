"""The bridge to Blender: files that run inside of it (``inside_*.py``), and how they are started from here.

Blender brings its own Python and its own, older NumPy, so it is another
process: an installed ``blender``, or a Python that has the package ``bpy``.
What goes in and comes out are plain arrays (``.npz``) and JSON.
"""
