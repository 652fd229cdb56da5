/* Preloaded: counts fsyncs in a shared file; fails or delays them, fails to open spool files and moves the
   wall clock as that file says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct board {
    _Atomic uint64_t syncs;     /* that succeeded */
    _Atomic uint64_t fail_from; /* the number of the first sync that fails with EIO; 0: none */
    _Atomic uint64_t failed;
    _Atomic uint64_t delay_us;
    _Atomic uint64_t ahead_s; /* of the wall clock */
    _Atomic uint64_t passed_s; /* for the wall clock and the one that counts suspend */
    _Atomic uint64_t fail_folders; /* the fsync of each folder fails with EIO */
    _Atomic uint64_t spool_errno; /* opening a file without a name fails with this */
};

static struct board *board;

__attribute__((constructor)) static void open_board(void) {
    const char *path = getenv("SHIM_BOARD");
    if (!path) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *page = mmap(0, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) board = page;
    close(fd);
}

static int sync_with(int (*real)(int), int fd) {
    if (!board) return real(fd);
    struct stat what;
    if (atomic_load(&board->fail_folders) && fstat(fd, &what) == 0 && S_ISDIR(what.st_mode)) {
        errno = EIO;
        return -1;
    }
    uint64_t fail_from = atomic_load(&board->fail_from);
    if (fail_from && atomic_load(&board->syncs) + 1 >= fail_from) {
        atomic_fetch_add(&board->failed, 1);
        errno = EIO;
        return -1;
    }
    uint64_t delay = atomic_load(&board->delay_us);
    if (delay) usleep((useconds_t)delay);
    int result = real(fd);
    if (result == 0) atomic_fetch_add(&board->syncs, 1);
    return result;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return sync_with(real, fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return sync_with(real, fd);
}

static int refused(int flags) {
    if (!board || (flags & O_TMPFILE) != O_TMPFILE) return 0;
    int why = (int)atomic_load(&board->spool_errno);
    if (why) errno = why;
    return why;
}

#define OPEN(name)                                                                          \
    int name(const char *path, int flags, ...) {                                            \
        static int (*real)(const char *, int, ...);                                         \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);         \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = va_arg(rest, mode_t);                                                 \
        va_end(rest);                                                                       \
        return refused(flags) ? -1 : real(path, flags, mode);                               \
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result != 0 || !board) return result;
    if (clock == CLOCK_REALTIME) time->tv_sec += atomic_load(&board->ahead_s);
    if (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME) time->tv_sec += atomic_load(&board->passed_s);
    return result;
}
