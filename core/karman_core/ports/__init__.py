"""What the engine needs from the outside world, as narrow protocols. Backends implement them."""
