"""Networks that make 3D from 2D keypoints."""
