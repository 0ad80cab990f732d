#!/bin/sh
# authority.sh DIRECTORY: an authority for trials, and what it issues: for etcd, for the nodes of a
# fleet, and for the site. ca.pem is the authority, whose key is destroyed once it has signed.
set -eu
umask 077
cd "$1"
mkdir -p etcd-1 etcd-2 etcd-3
[ ! -e site.pem ] || exit 0
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
$new -x509 -days 365 -subj "/CN=Fleet trial" -keyout ca.key -out ca.pem \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign"
issue() { # NAME NAMES: etcd's gateway is a client of itself, so each is good for both ends
    $new -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    printf 'subjectAltName = %s\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n' "$2" >extensions
    echo "extendedKeyUsage = serverAuth, clientAuth" >>extensions
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 365 -extfile extensions -out "$1.pem"
}
issue etcd DNS:etcd-1,DNS:etcd-2,DNS:etcd-3,DNS:localhost,IP:127.0.0.1
issue node DNS:node
issue site DNS:chat.localhost
rm ca.key ./*.csr extensions
chmod 644 ./*.pem
