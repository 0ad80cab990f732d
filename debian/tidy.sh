#!/bin/sh
# Removes the versions of Plexigate that are not the newest one and that no process runs any more.
set -eu
cd /usr/lib/plexigate
for version in *-*; do
    [ -d "$version" ] && [ "$version" != "$(readlink current)" ] || continue
    # a process has the path of its interpreter as the first word of its command line
    if ! grep -qs "^/usr/lib/plexigate/$version/" /proc/[0-9]*/cmdline; then
        rm -rf "$version"
    fi
done
