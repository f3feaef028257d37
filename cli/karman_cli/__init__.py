"""The command line: `karman`."""
