#!/bin/sh
# certificates.sh DIRECTORY [REQUEST]: a demo authority (ca.pem) and a certificate for localhost:
# server.pem with a new key in server.key, or for the key of a certificate request. Renewed when
# they end within a day, or are for another key. The authority's key is destroyed once it has
# signed, so a browser that trusts ca.pem trusts this one certificate and nothing that could follow.
set -eu
umask 077
directory=$1
request=${2-}
is_for_request() {
    [ -z "$request" ] ||
        [ "$(openssl x509 -noout -pubkey -in "$directory/server.pem")" = "$(openssl req -noout -pubkey -in "$request")" ]
}
if openssl x509 -checkend 86400 -noout -in "$directory/server.pem" >/dev/null 2>&1 && is_for_request; then
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
[ -n "$request" ] ||
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" -keyout "$work/server.key" \
        -out "$work/server.csr" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
cat >"$work/extensions" <<'END'
subjectAltName = DNS:localhost, DNS:chat.localhost, IP:127.0.0.1, IP:::1
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
END
openssl x509 -req -in "${request:-$work/server.csr}" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 90 -subj /CN=localhost \
    -extfile "$work/extensions" -out "$work/server.pem" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }

mkdir -p "$directory"
chmod 644 "$work/ca.pem" "$work/server.pem"
rm -f "$directory/server.key"
[ -n "$request" ] || mv "$work/server.key" "$directory/"
mv "$work/ca.pem" "$directory/"
mv "$work/server.pem" "$directory/"
