/* SPDX-License-Identifier: MIT */
/* main.c -- l7 TOOL [ROLE] [OPTIONS] [ARGUMENTS]; called as "sendmail" it is l7 mail sendmail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argc ? argv[0] : "l7";
    int status = strcmp(name, "sendmail") == 0 ? as_sendmail(argc, argv) : verb_main(argc, argv);
    if (fflush(stdout) != 0 && status == 0)
        status = 1; /* what was to be printed was not: a full disk, a closed pipe */
    return status;
}
