/* SPDX-License-Identifier: MIT */
/* password.c -- where the password comes from: a file, a command, the terminal; never the command line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/mail/account.h"

enum { PASSWORD_MAX = 4096 }; /* OAuth tokens are long */

/* The first line of a stream without its end. */
static err_t first_line(FILE *f, const char *what, char **out)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    if (n <= 0 || n > PASSWORD_MAX) {
        free(line);
        return fault(E_AUTH, "%s: no password in it", what);
    }
    *out = line;
    return NULL;
}

static err_t from_file(const char *path, char **out)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    if (!f)
        return fault(err_errno(errno), "--password-file %s", path);
    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 077)
        fprintf(stderr, "l7 mail: warning: %s can be read by others (chmod 600)\n", path);
    err_t e = first_line(f, path, out);
    fclose(f);
    return e;
}

static err_t from_command(const char *command, char **out)
{
    FILE *f = popen(command, "re");
    if (!f)
        return fault(err_errno(errno), "--password-command");
    err_t e = first_line(f, "--password-command", out);
    int status = pclose(f);
    if (!e && status != 0) {
        explicit_bzero(*out, strlen(*out));
        free(*out);
        return fault(E_AUTH, "--password-command ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    return e;
}

static err_t from_terminal(const struct mail_account *a, const char *host, char **out)
{
    struct termios shown, hidden;
    FILE *tty = fopen("/dev/tty", "r+e");
    if (!tty)
        return fault(E_USAGE,
                     "--user wants --password-file or --password-command, since there is no terminal to ask on");
    fprintf(tty, "Password of %s at %s: ", a->user, host);
    fflush(tty);
    bool quiet = tcgetattr(fileno(tty), &shown) == 0;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    quiet = quiet && tcsetattr(fileno(tty), TCSAFLUSH, &hidden) == 0;
    err_t e = first_line(tty, "the terminal", out);
    if (quiet)
        tcsetattr(fileno(tty), TCSAFLUSH, &shown);
    fputc('\n', tty);
    fclose(tty);
    return e;
}

err_t mail_password(const struct mail_account *a, const char *host, char **out)
{
    if (a->password_file)
        return from_file(a->password_file, out);
    if (a->password_command)
        return from_command(a->password_command, out);
    return from_terminal(a, host, out);
}
