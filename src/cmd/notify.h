/* SPDX-License-Identifier: MIT */
/* notify.h -- a word to systemd (sd_notify(3)) over the datagram socket that NOTIFY_SOCKET names; nothing without it.
 */
#pragma once

void notify(const char *state); /* "READY=1\nSTATUS=..." */
void notify_reloading(void);    /* RELOADING=1 with the time, which Type=notify-reload wants */
