/* SPDX-License-Identifier: MIT */
/*
 * watch_view.h -- what several listeners know, merged, sorted, filtered and laid out as text.
 *
 * Pure: rows go in, a frame comes out. Each listener's rows replace its earlier ones. A sender counts as down only
 * when `quorum` of the listeners watched say so (0: more than half); a listener that cannot be reached says nothing.
 */
#pragma once

#include "base/buf.h"
#include "dgram/beat_packet.h"

enum { VIEW_LISTENERS_MAX = 16 };

struct view_row {
    struct beat_row row; /* `row.id` points at `id`; after view_merge `state` is the joint verdict */
    char id[BEAT_ID_MAX];
    uint8_t knows, dead; /* listeners that know the sender; that say down or stopped */
};
struct view_rows {
    struct view_row *v;
    size_t n, cap;
};
MUST err_t view_add(struct view_rows *, const struct beat_row *);
void view_free(struct view_rows *);

enum view_sort { VIEW_BY_STATE, VIEW_BY_NAME, VIEW_BY_SEEN, VIEW_BY_LOSS, VIEW_BY_JITTER, VIEW_SORTS };
extern const char *const view_sort_names[VIEW_SORTS];

struct view {
    struct view_rows from[VIEW_LISTENERS_MAX], all;
    bool answered[VIEW_LISTENERS_MAX];
    int listeners, quorum;
    enum view_sort sort;
    bool reverse, dead_only;
    char filter[64]; /* part of the name, ASCII case ignored */
    size_t top;      /* first row shown */
};
/* Join what the listeners said, one row a sender, sorted and filtered, into `all`. E_NO_MEMORY. */
MUST err_t view_merge(struct view *);
void view_done(struct view *);

/* A frame of `lines` lines of `columns`, or with lines 0 the whole table. On a `terminal` each line is cleared to its
   end, with colours when `color`. */
MUST err_t view_frame(struct view *, const char *title, int lines, int columns, bool terminal, bool color,
                      struct buf *);
MUST err_t view_json(const struct view *, struct buf *); /* a line a sender */

enum view_verdict { VIEW_GO_ON, VIEW_QUIT };
enum view_verdict view_key(struct view *, char key, int page); /* what a key does */
