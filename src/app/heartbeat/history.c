/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/history.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { TRIM_EVERY = 1000 };

struct history {
    sqlite3 *db;
    sqlite3_stmt *insert, *trim;
    uint64_t max, since_trim;
};

static const char schema[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=4194304;"
                             "CREATE TABLE IF NOT EXISTS changes ("
                             " n INTEGER PRIMARY KEY, time REAL NOT NULL, id TEXT NOT NULL, event TEXT NOT NULL,"
                             " old TEXT NOT NULL, new TEXT NOT NULL, peer TEXT NOT NULL, incarnation INTEGER NOT NULL,"
                             " sequence INTEGER NOT NULL, received INTEGER NOT NULL, lost INTEGER NOT NULL,"
                             " silent REAL NOT NULL);"
                             "CREATE INDEX IF NOT EXISTS changes_by_id ON changes (id, time);";
static const char insert[] = "INSERT INTO changes (time, id, event, old, new, peer, incarnation, sequence, received,"
                             " lost, silent) VALUES (?,?,?,?,?,?,?,?,?,?,?)";
static const char trim[] = "DELETE FROM changes WHERE n <= (SELECT max(n) FROM changes) - ?";

static err_t failed(const struct history *h, const char *what)
{
    int code = sqlite3_errcode(h->db);
    return fault(code == SQLITE_FULL     ? E_NO_SPACE
                 : code == SQLITE_NOTADB ? E_CONFIG
                                         : E_IO,
                 "%s: %s", what, sqlite3_errmsg(h->db));
}

static err_t prepare(struct history *h, const char *path)
{
    if (sqlite3_open_v2(path, &h->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) !=
        SQLITE_OK)
        return h->db ? failed(h, path) : E_NO_MEMORY;
    sqlite3_busy_timeout(h->db, 2000);
    if (sqlite3_exec(h->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(h->db, insert, -1, &h->insert, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(h->db, trim, -1, &h->trim, NULL) != SQLITE_OK)
        return failed(h, path);
    return NULL;
}

err_t history_open(const char *path, uint64_t max, struct history **out)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return E_NO_MEMORY;
    h->max = max;
    err_t e = prepare(h, path);
    if (e)
        history_close(h);
    else
        *out = h;
    return e;
}

static void bind_text(sqlite3_stmt *s, int at, struct slice text)
{
    sqlite3_bind_text(s, at, text.p, (int)text.n, SQLITE_TRANSIENT);
}

static bool insert_one(struct history *h, const struct event *e)
{
    sqlite3_stmt *s = h->insert;
    char peer[ADDR_TEXT];
    sqlite3_bind_double(s, 1, (double)e->wall / 1e9);
    bind_text(s, 2, event_id(e));
    bind_text(s, 3, slice_z(event_what(e)));
    bind_text(s, 4, slice_z(beat_state_names[e->from]));
    bind_text(s, 5, slice_z(beat_state_names[e->to]));
    bind_text(s, 6, slice_z(addr_text(&e->peer, peer)));
    sqlite3_bind_int64(s, 7, (sqlite3_int64)e->incarnation);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)e->sequence);
    sqlite3_bind_int64(s, 9, (sqlite3_int64)e->received);
    sqlite3_bind_int64(s, 10, (sqlite3_int64)e->lost);
    sqlite3_bind_double(s, 11, (double)e->silent_ms / 1e3);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_reset(s);
    h->since_trim++;
    return done;
}

static bool trim_rows(struct history *h)
{
    if (!h->max || h->since_trim < TRIM_EVERY)
        return true;
    h->since_trim = 0;
    sqlite3_bind_int64(h->trim, 1, (sqlite3_int64)h->max);
    bool done = sqlite3_step(h->trim) == SQLITE_DONE;
    sqlite3_reset(h->trim);
    return done;
}

err_t history_add(struct history *h, const struct event *first)
{
    bool good = sqlite3_exec(h->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
    for (const struct event *e = first; good && e; e = e->next)
        good = insert_one(h, e);
    if (good && trim_rows(h) && sqlite3_exec(h->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return NULL;
    err_t e = failed(h, "writing");
    sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    return e;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    sqlite3_finalize(h->insert);
    sqlite3_finalize(h->trim);
    sqlite3_close(h->db);
    free(h);
}
