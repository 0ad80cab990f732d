"""The shape of each table of the configuration, apart from routes."""
