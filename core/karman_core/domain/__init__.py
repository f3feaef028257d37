"""The pure domain: values in, values out. No I/O, no clock, no randomness that is not passed in."""
