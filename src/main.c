/* SPDX-License-Identifier: MIT */
/* main.c -- l7 TOOL [ROLE] [OPTIONS] [ARGUMENTS]; called as "sendmail" it is l7 mail sendmail. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/verb.h"

/* argv with "l7 mail sendmail" in front of the arguments. */
static int as_sendmail(int argc, char **argv)
{
    static char l7[] = "l7", mail[] = "mail", sendmail[] = "sendmail";
    char **more = calloc((size_t)argc + 3, sizeof *more);
    if (!more)
        return E_NO_MEMORY->sysexit;
    more[0] = l7, more[1] = mail, more[2] = sendmail;
    memcpy(more + 3, argv + 1, (size_t)(argc - 1) * sizeof *more);
    int status = verb_main(argc + 2, more);
    free(more);
    return status;
}

/* Where the caller closed one of the three, nothing that we open may take its place: an error message would go to a
   client. What is put there fails to be read or written as the closed one did. */
static void hold_standard(void)
{
    static int held[STDERR_FILENO + 1] __attribute__((unused)); /* for as long as the program runs */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            held[fd] = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    hold_standard();
    const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argc ? argv[0] : "l7";
    int status = strcmp(name, "sendmail") == 0 ? as_sendmail(argc, argv) : verb_main(argc, argv);
    if (fflush(stdout) != 0 && status == 0)
        status = 1; /* what was to be printed was not: a full disk, a closed pipe */
    return status;
}
