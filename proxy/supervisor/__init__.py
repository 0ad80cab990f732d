"""The parent process and what it shares with its workers: sockets, a channel to each, key material,
two-phase reload.
"""
