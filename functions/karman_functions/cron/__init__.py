"""Cron triggers: what EventBridge Scheduler calls when one is due."""
