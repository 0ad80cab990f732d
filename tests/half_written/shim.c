/* Preloaded into every process of a Plexigate: counts the system calls that change a file below one directory, and at the
 * n-th kills the process that makes it (of a write, half is done), or lets it and all later ones fail.
 *
 * HALF_WRITTEN names a file of one `struct control`, shared by all processes; the test that made it sets `left`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
    atomic_long is_armed;
    atomic_long left;  /* calls that go well before the one that does not */
    atomic_long error; /* 0: kill; else the errno of all calls from there on */
    atomic_long seen;  /* calls that came */
    char directory[PATH_MAX];
};

static struct control *control;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HALF_WRITTEN");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    close(descriptor);
}

/* Where the kernel says that an open file is. */
static int place_of(int descriptor, char *found)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, found, PATH_MAX - 1);
    if (length < 0)
        return 0;
    found[length] = '\0';
    return 1;
}

static int is_below(const char *path)
{
    size_t length = strlen(control->directory);
    return strncmp(path, control->directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int is_name_below(int directory, const char *name)
{
    char found[PATH_MAX];
    if (name[0] == '/')
        return is_below(name);
    return place_of(directory == AT_FDCWD ? -1 : directory, found) && is_below(found);
}

static int is_open_below(int descriptor)
{
    char found[PATH_MAX];
    return place_of(descriptor, found) && is_below(found);
}

enum verdict { GO_ON, DIE, FAIL };

static enum verdict next(void)
{
    atomic_fetch_add(&control->seen, 1);
    long left = atomic_fetch_sub(&control->left, 1);
    if (left > 0)
        return GO_ON;
    if (atomic_load(&control->error))
        return FAIL;
    return left == 0 ? DIE : GO_ON;
}

_Noreturn static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

#define IS_WATCHED(condition) (control && atomic_load(&control->is_armed) && (condition))

/* Whether the call goes on; else errno is set. */
static int goes_on(void)
{
    switch (next()) {
    case DIE:
        die();
    case FAIL:
        errno = (int)atomic_load(&control->error);
        return 0;
    default:
        return 1;
    }
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

#define CHANGING(name, condition, parameters, arguments)           \
    int name parameters                                            \
    {                                                              \
        if (IS_WATCHED(condition) && !goes_on())                   \
            return -1;                                             \
        return REAL(name) arguments;                               \
    }

CHANGING(fsync, is_open_below(f), (int f), (f))
CHANGING(fdatasync, is_open_below(f), (int f), (f))
CHANGING(ftruncate, is_open_below(f), (int f, off_t size), (f, size))
CHANGING(ftruncate64, is_open_below(f), (int f, off64_t size), (f, size))
CHANGING(fchown, is_open_below(f), (int f, uid_t user, gid_t group), (f, user, group))
CHANGING(fchmod, is_open_below(f), (int f, mode_t mode), (f, mode))
CHANGING(unlink, is_name_below(AT_FDCWD, p), (const char *p), (p))
CHANGING(unlinkat, is_name_below(d, p), (int d, const char *p, int flags), (d, p, flags))
CHANGING(rmdir, is_name_below(AT_FDCWD, p), (const char *p), (p))
CHANGING(mkdir, is_name_below(AT_FDCWD, p), (const char *p, mode_t mode), (p, mode))
CHANGING(mkdirat, is_name_below(d, p), (int d, const char *p, mode_t mode), (d, p, mode))
CHANGING(link, is_name_below(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CHANGING(linkat, is_name_below(d, to), (int c, const char *from, int d, const char *to, int flags), (c, from, d, to, flags))
CHANGING(symlinkat, is_name_below(d, p), (const char *to, int d, const char *p), (to, d, p))
CHANGING(rename, is_name_below(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CHANGING(renameat, is_name_below(d, to), (int c, const char *from, int d, const char *to), (c, from, d, to))
CHANGING(renameat2, is_name_below(d, to), (int c, const char *from, int d, const char *to, unsigned int flags), (c, from, d, to, flags))

#define OPENING(name, directory, parameters, arguments, last)                                             \
    int name parameters                                                                                   \
    {                                                                                                     \
        mode_t mode = 0;                                                                                  \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                              \
            va_list rest;                                                                                 \
            va_start(rest, last);                                                                         \
            mode = va_arg(rest, mode_t);                                                                  \
            va_end(rest);                                                                                 \
        }                                                                                                 \
        if (IS_WATCHED((flags & (O_CREAT | O_TRUNC)) && is_name_below(directory, path)) && !goes_on())    \
            return -1;                                                                                    \
        return REAL(name) arguments;                                                                      \
    }

OPENING(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode), flags)
OPENING(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode), flags)
OPENING(openat, d, (int d, const char *path, int flags, ...), (d, path, flags, mode), flags)
OPENING(openat64, d, (int d, const char *path, int flags, ...), (d, path, flags, mode), flags)

ssize_t write(int f, const void *content, size_t size)
{
    if (IS_WATCHED(is_open_below(f)))
        switch (next()) {
        case DIE:
            REAL(write)(f, content, size / 2);
            die();
        case FAIL:
            errno = (int)atomic_load(&control->error);
            return -1;
        default:
            break;
        }
    return REAL(write)(f, content, size);
}
