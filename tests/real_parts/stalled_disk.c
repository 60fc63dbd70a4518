/* A disk that answers nothing for a while: LD_PRELOADed, it holds up whoever writes to a file of
 * the folder $STALLED_FOLDER, for as long as the file $STALLED_WHILE is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_stalled(int fd) {
    const char *folder = getenv("STALLED_FOLDER"), *flag = getenv("STALLED_WHILE");
    char link[64], path[PATH_MAX];
    if (folder == NULL || flag == NULL || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL) real = (ssize_t (*)(int, const void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pwrite64");
    while (is_stalled(fd)) usleep(5000);
    return real(fd, data, size, at);
}
