"""Dead letters: messages that were delivered too often, and firings that were not delivered at all."""
