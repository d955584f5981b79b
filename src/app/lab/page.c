/* SPDX-License-Identifier: MIT */
#include "app/lab/page.h"

static const char head[] = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                           "<title>l7 lab</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n"
                           "<header>\n  <img src=\"/layers.svg\" alt=\"\" width=\"120\" height=\"120\">\n"
                           "  <h1>l7 lab</h1>\n  <p>Everything at once, on this machine only.</p>\n</header>\n"
                           "<main>\n<table>\n<caption>What runs, and what to try in a terminal</caption>\n"
                           "<thead><tr><th scope=\"col\">Service</th><th scope=\"col\">Address</th>"
                           "<th scope=\"col\">What it does</th><th scope=\"col\">Try</th></tr></thead>\n<tbody>\n";
static const char foot[] = "</tbody>\n</table>\n<p>Ctrl-C in the terminal ends it all.</p>\n</main>\n</html>\n";

/* Every text here is our own or an address: nothing needs escaping. */
static err_t row(const struct lab_options *o, int i, struct buf *out)
{
    const struct lab_row *r = &lab_rows[i];
    const struct addr *a = &o->points[i]->addr;
    char address[ADDR_TEXT], host[ADDR_TEXT], attempt[ADDR_TEXT + 64] = "";
    addr_text(a, address);
    lab_attempt(r, a, attempt, sizeof attempt);
    TRY(buf_format(out, "<tr><th scope=\"row\">%s</th><td>", r->name));
    if (*r->scheme)
        TRY(buf_format(out, "<a href=\"%s%s/\">%s%s/</a>", r->scheme, address, r->scheme, address));
    else
        TRY(buf_format(out, "<code>%s %u</code>", addr_text_host(a, host), addr_port(a)));
    return buf_format(out, "</td><td>%s</td><td>%s%s%s</td></tr>\n", r->what, *attempt ? "<code>" : "", attempt,
                      *attempt ? "</code>" : "");
}

err_t lab_page(const struct lab_options *o, struct buf *out)
{
    TRY(buf_add(out, slice_z(head)));
    for (int i = 0; i < LAB_SERVICES; i++)
        TRY(row(o, i, out));
    return buf_add(out, slice_z(foot));
}
