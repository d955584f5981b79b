/* SPDX-License-Identifier: MIT */
#include "wire/frame_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cursor.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };

static const char *type_text(unsigned type, char spare[24])
{
    static const char *const names[] = {"DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                        "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
    if (type < sizeof names / sizeof *names)
        return names[type];
    snprintf(spare, 24, "frame of type %u", type);
    return spare;
}

/* RFC 9113 section 7 */
static const char *error_text(uint64_t code, char spare[24])
{
    static const char *const names[] = {"NO_ERROR",
                                        "PROTOCOL_ERROR",
                                        "INTERNAL_ERROR",
                                        "FLOW_CONTROL_ERROR",
                                        "SETTINGS_TIMEOUT",
                                        "STREAM_CLOSED",
                                        "FRAME_SIZE_ERROR",
                                        "REFUSED_STREAM",
                                        "CANCEL",
                                        "COMPRESSION_ERROR",
                                        "CONNECT_ERROR",
                                        "ENHANCE_YOUR_CALM",
                                        "INADEQUATE_SECURITY",
                                        "HTTP_1_1_REQUIRED"};
    if (code < sizeof names / sizeof *names)
        return names[code];
    snprintf(spare, 24, "error %" PRIu64, code);
    return spare;
}

size_t frame_peek(const char header[FRAME_HEADER])
{
    struct cursor c = cursor_reader(slice_of(header, FRAME_HEADER));
    size_t length = (size_t)cursor_get(&c, 3);
    unsigned type = cursor_get_u8(&c);
    size_t want = type == GOAWAY ? 8 : type == RST_STREAM || type == WINDOW_UPDATE ? 4 : 0;
    return want < length ? want : length;
}

static size_t flags_text(unsigned type, unsigned flags, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    if ((type == SETTINGS || type == PING) && flags & 1)
        n += (size_t)snprintf(out + n, cap - n, ", ACK");
    if ((type == DATA || type == HEADERS) && flags & 1)
        n += (size_t)snprintf(out + n, cap - n, ", END_STREAM");
    if ((type == HEADERS || type == CONTINUATION || type == PUSH_PROMISE) && flags & 4)
        n += (size_t)snprintf(out + n, cap - n, ", END_HEADERS");
    return n;
}

size_t frame_text(struct slice s, char *out, size_t cap)
{
    struct cursor c = cursor_reader(s);
    char spare[24], flags[64], more[80] = "", on[32] = "";
    size_t length = (size_t)cursor_get(&c, 3);
    unsigned type = cursor_get_u8(&c);
    flags_text(type, cursor_get_u8(&c), flags, sizeof flags);
    uint32_t stream = cursor_get_u32(&c) & 0x7fffffff;
    if (stream)
        snprintf(on, sizeof on, " stream %" PRIu32, stream);
    if (type == RST_STREAM && cursor_left(&c) >= 4) {
        snprintf(more, sizeof more, ", %s", error_text(cursor_get_u32(&c), spare));
    } else if (type == WINDOW_UPDATE && cursor_left(&c) >= 4) {
        snprintf(more, sizeof more, ", %" PRIu32 " bytes more", cursor_get_u32(&c) & 0x7fffffff);
    } else if (type == GOAWAY && cursor_left(&c) >= 8) {
        uint32_t last = cursor_get_u32(&c) & 0x7fffffff;
        snprintf(more, sizeof more, ", %s, last stream %" PRIu32, error_text(cursor_get_u32(&c), spare), last);
    }
    bool sized = type == DATA || type == HEADERS || type == CONTINUATION || type > CONTINUATION || type == PUSH_PROMISE;
    char size[40] = "";
    if (sized)
        snprintf(size, sizeof size, ", %zu byte%s", length, length == 1 ? "" : "s");
    snprintf(out, cap, "%s%s%s%s%s", type_text(type, spare), on, size, more, flags);
    return length;
}
