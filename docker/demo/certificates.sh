#!/bin/sh
# certificates.sh DIRECTORY: a demo authority (ca.pem) and a certificate for localhost (server.pem, server.key).
# Made anew when they end within a day. The authority's key is thrown away once it has signed, so whoever trusts
# ca.pem trusts this one certificate and nothing that could follow.
set -eu
umask 077
directory=$1
if openssl x509 -checkend 86400 -noout -in "$directory/server.pem" >/dev/null 2>&1; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

certify() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 "$@" 2>"$work/log" || {
        cat "$work/log" >&2
        exit 1
    }
}
certify -subj "/CN=Plexigate demo authority" -keyout "$work/ca.key" -out "$work/ca.pem" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign"
certify -subj "/CN=localhost" -CA "$work/ca.pem" -CAkey "$work/ca.key" -keyout "$work/server.key" -out "$work/server.pem" \
    -addext "subjectAltName=DNS:localhost,DNS:chat.localhost,IP:127.0.0.1,IP:::1" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "keyUsage=critical,digitalSignature" -addext "extendedKeyUsage=serverAuth"

mkdir -p "$directory"
chmod 644 "$work/ca.pem" "$work/server.pem"
mv "$work/server.key" "$work/ca.pem" "$directory/"
mv "$work/server.pem" "$directory/"
