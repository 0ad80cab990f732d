"""What TLS 1.3 has on the wire, and what is accepted: records, hellos, alerts, groups, policy."""
