"""Files as this project reads and writes them: PEM, locks, atomic writes, sealed memory."""
