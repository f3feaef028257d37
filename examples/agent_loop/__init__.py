"""An example: an agent that thinks and acts in turns, and asks a person before it does something dangerous."""
