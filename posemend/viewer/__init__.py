"""Seeing a pose: scenes of layers, written as one self-contained HTML file."""

from __future__ import annotations

from posemend.viewer.html import write_html
from posemend.viewer.points import Cloud, cloud
from posemend.viewer.scene import Layer, Scene

__all__ = ["Cloud", "Layer", "Scene", "cloud", "write_html"]
