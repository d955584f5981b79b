/* SPDX-License-Identifier: MIT */
#include "app/lab/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/embedded.h"

static err_t write_file(const char *folder, const struct embedded *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, file->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ssize_t put = fd < 0 ? -1 : write(fd, file->bytes, file->size);
    err_t e = put < 0                     ? fault(err_errno(errno), "%s", path)
              : (size_t)put != file->size ? fault(E_NO_SPACE, "%s", path)
                                          : NULL;
    if (fd >= 0)
        close(fd);
    return e;
}

err_t site_write(char *folder, size_t cap)
{
    const char *temp = getenv("TMPDIR");
    char path[64];
    int n = snprintf(path, sizeof path, "%s/l7-lab-XXXXXX", temp && strlen(temp) < 32 ? temp : "/tmp");
    if (n < 0 || (size_t)n >= cap || !mkdtemp(path))
        return fault(err_errno(errno), "%s", path);
    snprintf(folder, cap, "%s", path);
    for (const struct embedded *file = embedded_site; file->name; file++)
        TRY(write_file(folder, file));
    return NULL;
}

void site_remove(const char *folder)
{
    char path[256];
    if (!*folder)
        return;
    for (const struct embedded *file = embedded_site; file->name; file++) {
        snprintf(path, sizeof path, "%s/%s", folder, file->name);
        unlink(path);
    }
    rmdir(folder);
}
