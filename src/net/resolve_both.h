/* SPDX-License-Identifier: MIT */
/* resolve_both.h -- both families asked at once; what resolve() does for family 0. Only resolve.c uses this. */
#pragma once

#include "net/resolve.h"

MUST err_t resolve_both(struct slice host, uint16_t port, struct resolved *, tick until);
