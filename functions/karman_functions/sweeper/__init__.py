"""The hourly guard over unfinished runs."""
