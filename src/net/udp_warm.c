/* SPDX-License-Identifier: MIT */
#include "net/udp_warm.h"

#include "net/udp.h"

static const tick COLD = 3 * TICK_MS; /* at 1 kHz nothing is gained any more */

static err_t to_itself(int fd, int family)
{
    enum udp_flags granted;
    struct addr self;
    TRY(addr_parse(family == AF_INET ? S("127.0.0.1") : S("::1"), 0, &self));
    if (bind(fd, &self.sa, self.len) < 0 || getsockname(fd, &self.sa, &self.len) < 0 ||
        connect(fd, &self.sa, self.len) < 0)
        return E_IO;
    return udp_setup(fd, UDP_TX_STAMP | UDP_RX_STAMP, &granted);
}

void udp_warm_open(struct udp_warm *w, int family)
{
    *w = (struct udp_warm){.fd = -1};
    if (udp_open(family, &w->fd) || to_itself(w->fd, family))
        udp_warm_close(w);
    fault_clear();
}

void udp_warm_close(struct udp_warm *w)
{
    if (w->fd >= 0)
        io_close(w->fd);
    w->fd = -1;
}

void udp_warm(struct udp_warm *w, tick now)
{
    struct udp_event stamp;
    char none[1] = {0};
    bool cold = now - w->last >= COLD;
    w->last = now;
    if (w->fd < 0 || !cold || send(w->fd, none, 0, MSG_DONTWAIT) < 0)
        return;
    (void)recv(w->fd, none, 0, MSG_DONTWAIT);
    while (udp_event(w->fd, &stamp) == NULL)
        continue;
}
