"""Networks that repair the 3D of any lifter."""
