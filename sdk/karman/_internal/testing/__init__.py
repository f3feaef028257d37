"""The parts of `karman.testing`."""
