"""Active checks: each server is asked for its health."""
