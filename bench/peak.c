/* SPDX-License-Identifier: MIT */
/* peak -- run a program and print its peak resident memory in MiB. A child counts what its parent held before exec, so
   the parent must be small: that is all this is for. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 2)
        return 2;
    pid_t pid = vfork();
    if (pid == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &used) < 0)
        return 1;
    fprintf(stderr, "\n%.1f\n", (double)used.ru_maxrss / 1024);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
