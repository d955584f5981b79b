/* SPDX-License-Identifier: MIT */
#include "http/status.h"

struct row {
    struct slice phrase, line;
    bool heuristic;
};

static const struct row *find(uint16_t status)
{
    switch (status) {
#define STATUS_ROW(code, text, heuristic)                                                                              \
    case code: {                                                                                                       \
        static const struct row r = {                                                                                  \
            {text, sizeof(text) - 1},                                                                                  \
            {"HTTP/1.1 " #code " " text "\r\n", sizeof("HTTP/1.1 " #code " " text "\r\n") - 1},                        \
            heuristic};                                                                                                \
        return &r;                                                                                                     \
    }
#include "http/status.def"
#undef STATUS_ROW
    default: {
        static const struct row none;
        return &none;
    }
    }
}

struct slice status_phrase(uint16_t status)
{
    return find(status)->phrase;
}

struct slice status_line(uint16_t status)
{
    return find(status)->line;
}

bool status_has_body(uint16_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

bool status_heuristic(uint16_t status)
{
    return find(status)->heuristic;
}
