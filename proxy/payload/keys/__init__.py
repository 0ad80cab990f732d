"""The keys of payload encryption: rings, and the suites that sessions are agreed on with."""
