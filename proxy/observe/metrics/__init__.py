"""The catalogue of metrics, and the text that Prometheus reads."""
