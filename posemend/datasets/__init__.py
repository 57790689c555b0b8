"""Labelled recordings, in metres and pixels. NumPy only.

One module per data set. ``blendmimic3d`` hands out ``Take`` (keypoints, truth
and camera); ``packs`` hands out bare ``Motion`` for training. All joints are
matched by name and leave in Human3.6M's order.
"""
