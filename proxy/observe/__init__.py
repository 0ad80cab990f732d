"""What an operator sees: logs, metrics, events, alerts, readiness, adoption of new groups."""
