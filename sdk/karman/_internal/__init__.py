"""The SDK's own parts. Nothing here is public: import from `karman`, `karman.errors` and `karman.testing`."""
