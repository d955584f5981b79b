/* SPDX-License-Identifier: MIT */
/* opt_help.c -- the same tables as text: --help for the terminal, scdoc for the man page. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/opt.h"

enum { HELP_COLUMN_MAX = 34, WIDTH_MIN = 60, WIDTH_MAX = 110, WIDTH = 80 };

static int width(void)
{
    struct winsize w;
    const char *columns = getenv("COLUMNS");
    long n = columns ? strtol(columns, NULL, 10) : 0;
    if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
        n = w.ws_col;
    n = n <= 0 ? WIDTH : n;
    return (int)(n < WIDTH_MIN ? WIDTH_MIN : n > WIDTH_MAX ? WIDTH_MAX : n);
}

/* "-l, --listen [ADDR]:PORT" into `out`; returns its length. */
static int spell(const struct opt *row, char *out, size_t cap)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    const char *open = row->type == OPT_OPTIONAL ? "[=" : " ", *close = row->type == OPT_OPTIONAL ? "]" : "";
    if (!row->arg)
        return snprintf(out, cap, "%s--%s", letter, row->name);
    return snprintf(out, cap, "%s--%s%s%s%s", letter, row->name, open, row->arg, close);
}

/* Words of `text` from column `at` on, continued at column `indent`. Ends the line. */
static void wrap(const char *text, int at, int indent, int columns)
{
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > columns) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", n, text);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void own_row(const struct opt *row, int column, int columns)
{
    char left[96], right[320];
    int n = spell(row, left, sizeof left);
    const char *of = row->init && *row->init ? row->init : NULL;
    snprintf(right, sizeof right, "%s%s%s%s", row->help ? row->help : "", of ? " (" : "", of ? of : "", of ? ")" : "");
    printf("  %s", left);
    if (n + 2 > column - 2) {
        printf("  ");
        n += 2;
    } else {
        printf("%*s", column - 2 - n, "");
        n = column - 2;
    }
    wrap(right, n + 2, n + 2 < column + 8 ? n + 2 : column, columns);
}

/* The column where explanations start: behind the longest spelling that is not unusually long. */
static int help_column(const struct opt **rows, const uint8_t *table_of, size_t n)
{
    char text[96];
    int column = 16;
    for (size_t i = 0; i < n; i++) {
        if (table_of[i] > 0 || rows[i]->hidden || rows[i]->type == OPT_HEADING)
            continue;
        int len = spell(rows[i], text, sizeof text) + 4;
        if (len > column && len <= HELP_COLUMN_MAX)
            column = len;
    }
    return column;
}

/* A table that many roles share: "Listening: --workers N, --user NAME, ..." */
static void shared_table(const struct opt **rows, size_t n, int columns)
{
    char text[2048];
    size_t len = 0;
    const char *heading = "Also";
    for (size_t i = 0; i < n; i++) {
        if (rows[i]->type == OPT_HEADING)
            heading = rows[i]->help;
        if (rows[i]->type == OPT_HEADING || rows[i]->hidden)
            continue;
        char one[96];
        spell(rows[i], one, sizeof one);
        for (char *p = one + 4; (p = strchr(p, ' ')); p++)
            *p = '\x01'; /* a no-break space for wrap() */
        char letter[8] = "";
        if (rows[i]->letter)
            snprintf(letter, sizeof letter, "-%c\x01", rows[i]->letter);
        int got = snprintf(text + len, sizeof text - len, "%s%s%s", len ? ", " : "", letter, one + 4);
        len = got > 0 && len + (size_t)got < sizeof text ? len + (size_t)got : len;
    }
    if (!len)
        return;
    text[len] = 0;
    printf("%s: ", heading);
    int at = (int)strlen(heading) + 2;
    for (char *p = text; *p;) { /* wrap(), but with the no-break spaces turned back */
        int word = (int)strcspn(p, " ");
        if (at + word > columns) {
            printf("\n    ");
            at = 4;
        }
        for (int i = 0; i < word; i++)
            putchar(p[i] == '\x01' ? ' ' : p[i]);
        p += word;
        at += word + (*p == ' ');
        if (*p == ' ')
            putchar(*p++);
    }
    putchar('\n');
}

void opt_help(const struct opt_role *role)
{
    const struct opt *rows[OPT_ROWS_MAX];
    uint8_t table_of[OPT_ROWS_MAX];
    size_t n = opt_rows(role, rows, table_of);
    int columns = width(), column = help_column(rows, table_of, n);
    printf("Usage: l7 %s%s%s [OPTIONS]%s%s\n", role->tool, role->role ? " " : "", role->role ? role->role : "",
           role->usage ? " " : "", role->usage ? role->usage : "");
    wrap(role->summary, 0, 0, columns);
    putchar('\n');
    size_t i = 0;
    for (; i < n && table_of[i] == 0; i++)
        if (rows[i]->type == OPT_HEADING)
            printf("%s\n", rows[i]->help);
        else if (!rows[i]->hidden)
            own_row(rows[i], column, columns);
    while (i < n) {
        size_t from = i;
        while (i < n && table_of[i] == table_of[from])
            i++;
        shared_table(rows + from, i - from, columns);
    }
    if (role->notes)
        printf("\n%s%s", role->notes, slice_ends(slice_z(role->notes), S("\n")) ? "" : "\n");
}

/* ---- The man page ---- */

/* scdoc gives meaning to _ * \ # and to < > at some places: a backslash takes it away. */
static void scdoc_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\*_#`<>[]|~.-", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void scdoc_row(FILE *out, const struct opt *row)
{
    fputc('*', out);
    if (row->letter)
        fprintf(out, "-%c*, *", row->letter);
    fprintf(out, "--%s*", row->name);
    if (row->arg) {
        fputs(row->type == OPT_OPTIONAL ? "\\[=" : " ", out);
        fputc('_', out);
        scdoc_text(out, row->arg);
        fputs(row->type == OPT_OPTIONAL ? "_\\]" : "_", out);
    }
    fputs("\n\t", out);
    scdoc_text(out, row->help ? row->help : row->name);
    fputc('.', out);
    if (row->init && *row->init) {
        fputs(" Default: ", out);
        scdoc_text(out, row->init);
        fputc('.', out);
    }
    fputs("\n\n", out);
}

static void scdoc_notes(FILE *out, const char *notes)
{
    fputs("```\n", out);
    fputs(notes, out);
    fputs("```\n\n", out);
}

void opt_man(const struct opt_role *role, FILE *out)
{
    const struct opt *rows[OPT_ROWS_MAX];
    size_t n = opt_rows(role, rows, NULL);
    fprintf(out, "# l7 %s%s%s\n\n*l7 %s%s%s* \\[OPTIONS\\] ", role->tool, role->role ? " " : "",
            role->role ? role->role : "", role->tool, role->role ? " " : "", role->role ? role->role : "");
    scdoc_text(out, role->usage ? role->usage : "");
    fputs("\n\n", out);
    scdoc_text(out, role->summary);
    fputs("\n\n", out);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type == OPT_HEADING) {
            fputs("## ", out);
            scdoc_text(out, rows[i]->help);
            fputs("\n\n", out);
        } else if (!rows[i]->hidden) {
            scdoc_row(out, rows[i]);
        }
    if (role->notes)
        scdoc_notes(out, role->notes);
}
