#!/bin/sh
# SPDX-License-Identifier: MIT
# certs.sh DIR: the certificates that the TLS tests need, made by openssl's own tool. NAME.pem holds what the server
# sends, NAME.key its key; root.pem is the authority to trust.
set -e
cd "$1"
key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}
# sign NAME ISSUER DAYS: NAME.csr with NAME.ext; with $dates ("-startdate ... -enddate ...") when not from now on
sign() {
    if [ -n "$dates" ]; then
        rm -rf db && mkdir db && : >db/index && echo 01 >db/serial
        printf '[ca]\ndefault_ca=d\n[d]\ndatabase=db/index\nserial=db/serial\nnew_certs_dir=db\npolicy=p\n' >db/cnf
        printf 'default_md=sha256\nunique_subject=no\n[p]\ncommonName=supplied\n' >>db/cnf
        # shellcheck disable=SC2086
        openssl ca -batch -notext -config db/cnf -cert "$2.pem" -keyfile "$2.key" $dates -extfile "$1.ext" \
            -in "$1.csr" -out "$1.pem"
    else
        openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days "$3" -extfile "$1.ext" -out "$1.pem"
    fi
}
# authority NAME CN [ISSUER]: with $limit, the names that it may sign for
authority() {
    key "$1"
    printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n' >"$1.ext"
    [ -z "$limit" ] || echo "nameConstraints=critical,$limit" >>"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    if [ -n "$3" ]; then
        sign "$1" "$3" 3650
    else
        openssl x509 -req -in "$1.csr" -signkey "$1.key" -days 3650 -extfile "$1.ext" -out "$1.pem"
    fi
}
# leaf NAME ISSUER SAN [USAGE]
leaf() {
    key "$1"
    { [ -z "$3" ] || echo "subjectAltName=$3"; echo "extendedKeyUsage=${4:-serverAuth}"; } >"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    sign "$1" "$2" 365
}
dates= limit=
authority root 'Test Root'
authority middle 'Middle CA' root
authority stranger-ca 'Stranger CA'
leaf good root 'DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1,DNS:localhost'
leaf other root 'DNS:other.example'
leaf nameless root ''
leaf oddaddress root 'DER:30:04:87:02:7f:01' # an iPAddress of two bytes, where RFC 5280 section 4.2.1.6 wants 4 or 16
leaf clientonly root 'DNS:a.example' clientAuth
leaf chained middle 'DNS:a.example'
cp chained.key incomplete.key && cp chained.pem incomplete.pem
cp chained.key shuffled.key && cat chained.pem stranger-ca.pem root.pem middle.pem >shuffled.pem
cat middle.pem >>chained.pem
limit='permitted;DNS:b.example'
authority limited 'Limited CA' root
limit=
for name in inside outside; do
    leaf $name limited "DNS:$([ $name = inside ] && echo x.b.example || echo a.example)"
    cat limited.pem >>$name.pem
done
leaf byleaf good 'DNS:a.example'
cat good.pem >>byleaf.pem
leaf a.example root ''
leaf wild root 'DNS:*,DNS:*.example,DNS:w*.p.example,DNS:*.*.q.example,DNS:127.0.0.1,DNS:x.*.example'
leaf stranger stranger-ca 'DNS:a.example'
cat stranger-ca.pem >>stranger.pem
key selfsigned
openssl req -x509 -new -key selfsigned.key -subj /CN=selfsigned -addext subjectAltName=DNS:a.example -days 365 -out selfsigned.pem
dates='-startdate 20200101000000Z -enddate 20210101000000Z'
leaf expired root 'DNS:a.example'
authority expired-middle 'Expired Middle CA' root
dates='-startdate 20900101000000Z -enddate 20910101000000Z'
leaf future root 'DNS:a.example'
dates=
leaf underexpired expired-middle 'DNS:a.example'
cat expired-middle.pem >>underexpired.pem
