/* SPDX-License-Identifier: MIT */
/* delay.h -- `l7 delay`: the models of delay_model.h with numbers put in, the simulation beside them, and a drawing of
   delay against load. */
#pragma once

#include "app/path/delay_model.h"
#include "base/err.h"

struct delay_conf {
    struct delay_path path;
    double load;     /* 0: no queues */
    uint64_t buffer; /* 0: infinite */
    uint64_t seed, samples;
    bool json, color;
    const char *svg; /* NULL: none */
};

MUST err_t delay_run(const struct delay_conf *); /* prints on stdout */
