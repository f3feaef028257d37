"""Webhooks: what a rule of the event bus calls with each event of a run, and Scheduler when a delivery is due again."""
