#!/bin/sh
# Checks the configuration as the service would read it: with the user, the environment and the
# credentials of its unit. As root: /usr/lib/plexigate/check [FILE]
set -eu
configuration=${1:-/etc/plexigate/plexigate.toml}

# Of the unit with its drop-ins.
property_of_unit() {
    systemctl show --property="$1" --value plexigate.service
}

user=plexigate group='' environment=''
if [ -d /run/systemd/system ]; then
    user=$(property_of_unit User)
    group=$(property_of_unit Group)
    environment=$(property_of_unit Environment)
fi
eval "set -- $environment" # systemctl quotes for a shell
if [ -d /run/credentials/plexigate.service ]; then
    set -- "$@" CREDENTIALS_DIRECTORY=/run/credentials/plexigate.service
fi
case $user in
    '' | root | 0)
        exec env "$@" plexigate check "$configuration"
        ;;
    *)
        exec setpriv --reuid="$user" --regid="${group:-$(id -g "$user")}" --init-groups --reset-env \
            --inh-caps=+net_bind_service --ambient-caps=+net_bind_service \
            env "$@" plexigate check "$configuration"
        ;;
esac
