"""NINA's protocol: the one that AirLift and NINA modules speak. See docs/nina.md."""
