"""Lists of revocations, shown and fetched, and logs of certificates."""
