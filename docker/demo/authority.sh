#!/bin/sh
# authority.sh: pebble, an ACME authority for trials, at https://pebble:14000/dir. /authority has
# what clients trust: ca.pem for the directory itself, root.pem for what it issues. Pebble makes a
# new root at each start, so reload the proxy after a restart of this service. Each certificate
# lasts a quarter of an hour, so that rotation can be watched.
set -eu
cd /authority
rm -f root.pem
if [ ! -e pebble.json ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=pebble -out ca.pem \
        -keyout pebble.key -addext "subjectAltName=DNS:pebble,DNS:localhost" 2>/dev/null
    cat >pebble.json <<'END'
{
    "pebble": {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": "/authority/ca.pem",
        "privateKey": "/authority/pebble.key",
        "httpPort": 8080,
        "tlsPort": 8443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
        "retryAfter": {"authz": 1, "order": 1},
        "certificateValidityPeriod": 900
    }
}
END
fi
(
    until curl --silent --fail --cacert ca.pem --output root.new https://localhost:15000/roots/0; do
        sleep 1
    done
    mv root.new root.pem
) &
PEBBLE_VA_NOSLEEP=1 exec pebble -config pebble.json
