"""The data plane and its processes: what happens to bytes between a client and an upstream.

The hot path may be compiled (`[tool.plexigate]` in pyproject.toml). With `PLEXIGATE_PURE=1` in the
environment the sources run, even where the compiled modules lie beside them.
"""

import os

if os.environ.get("PLEXIGATE_PURE") == "1":
    import sys
    from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

    def _sources_only(directory: str) -> FileFinder:
        """Find the modules below this package, and their sources alone."""
        if not f"{directory}{os.sep}".startswith(f"{__path__[0]}{os.sep}"):
            raise ImportError(directory)  # the other hooks of sys.path_hooks look there
        return FileFinder(directory, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, _sources_only)
