/* SPDX-License-Identifier: MIT */
/*
 * udp_control.h -- the control messages beside a datagram: stamps, TTL, TOS, local address, ICMP errors.
 *
 * Only udp.c uses this.
 */
#pragma once

#include "net/udp.h"

enum { UDP_CONTROL = 256 }; /* stamps 64, packet info 40, TTL and TOS 24 each, error 60 */
struct udp_control {
    _Alignas(struct cmsghdr) char bytes[UDP_CONTROL];
};

void udp_control_read(const struct msghdr *, struct datagram *);
/* For sending from `local` and with TTL and TOS, whichever are set. */
void udp_control_write(int fd, struct msghdr *, struct udp_control *, const struct datagram *);
