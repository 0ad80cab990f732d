"""The checks of `plexigate doctor`: what is wrong, and what to do about it.

An `Checkup` looks at one thing and yields a `Finding` for each subject. `examining` runs all of
them side by side, each with its own deadline. What they look at is an `Examined`.
"""
