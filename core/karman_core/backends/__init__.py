"""Implementations of the ports: `embedded` (one SQLite file) and `aws` (DynamoDB, SQS and friends)."""
