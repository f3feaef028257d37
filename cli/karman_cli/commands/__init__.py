"""One module a command. They import what they use inside, so that `karman --help` answers at once."""
