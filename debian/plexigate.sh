#!/bin/sh
# A version that runs keeps its own files while the next one is installed. So the shell follows the
# link to the newest version, once, and has the Python of that version read this same file: for
# Python the next lines are a text. The process knows by it that it was started as this program.
'''exec' "$(readlink -f /usr/lib/plexigate/current)/bin/python" "$0" "$@"
: <<'PYTHON'
'''
import sys

del sys.path[0]  # the directory of this file

from proxy.commands.start import main

main()
