/* SPDX-License-Identifier: MIT */
/* topic.c -- `l7 help tls`: what is worth a page of its own and belongs to no single tool. */
#include <string.h>

#include "cmd/verb.h"

static const char tls[] =
    "TLS in l7\n"
    "\n"
    "Servers: --tls-cert FILE --tls-key FILE, as often as there are names to speak for; the name that the\n"
    "client asks for (SNI) chooses, the first pair is the default. FILE holds the certificate and then the\n"
    "intermediate ones. SIGHUP reads the files again without losing a connection.\n"
    "\n"
    "--tls-auto makes a local certificate authority once, and a certificate for localhost, 127.0.0.1, ::1 and\n"
    "this machine's name. They live in ~/.local/state/l7/tls (or $XDG_STATE_HOME/l7/tls): ca.pem, ca.key,\n"
    "leaf.pem, leaf.key. The authority can vouch for no other name, even if its key were stolen.\n"
    "\n"
    "To trust it:\n"
    "  l7 get       l7 get --ca ~/.local/state/l7/tls/ca.pem https://localhost:8005/\n"
    "  curl         curl --cacert ~/.local/state/l7/tls/ca.pem https://localhost:8005/\n"
    "  Debian       sudo cp ~/.local/state/l7/tls/ca.pem /usr/local/share/ca-certificates/l7.crt\n"
    "               sudo update-ca-certificates\n"
    "  Firefox      Settings, Certificates, Authorities, Import: ca.pem, for websites\n"
    "  Chromium     certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n l7 -i ~/.local/state/l7/tls/ca.pem\n"
    "To forget it, remove it there again and delete the folder.\n"
    "\n"
    "Clients verify against the system's store, or --ca FILE; --insecure takes any certificate.\n"
    "--keylog FILE (or SSLKEYLOGFILE) writes the secrets with which Wireshark decrypts a capture.\n";

const char *verb_topic(const char *name)
{
    return strcmp(name, "tls") == 0 ? tls : NULL;
}
