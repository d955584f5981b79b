/* SPDX-License-Identifier: MIT */
/* world.h -- a test that is a fiber on a loop of its own, on a simulated network in which nothing may be left open. */
#pragma once

#include "tests/unit/unit.h"

#include "rt/loop.h"
#include "rt/sim.h"

/* On a network that the caller has reset, and set up to its liking. */
static inline void run_in_world(fiber_fn *fn)
{
    struct loop *l;
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", fn, NULL));
    loop_close(l);
    assert_int_equal(sim_open_count(), 0);
}

static inline void in_world(fiber_fn *fn)
{
    sim_reset();
    run_in_world(fn);
}
