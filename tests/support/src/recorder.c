/* Preloaded: writes down, in order and with their data, what a process does to a database and its logs, so that
   a test can make the disks that a power loss may leave. Also fails writes that would grow the database. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum file { NONE, DATABASE, LOG, JOURNAL, HEAD, NEW_HEAD, FOLDER };
enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, UNLINK, RENAME };

/* A record; a write's data follows it. */
struct record {
    uint32_t kind, file;
    int64_t ok; /* of a sync */
    uint64_t offset, length; /* of a rename: to which file */
};

struct board {
    _Atomic uint64_t no_growth; /* of the database: ENOSPC */
};

static char path[4096], folder[4096];
static int out = -1;
static struct board *board;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint8_t files[65536];

#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *database = getenv("RECORD_DATABASE"), *to = getenv("RECORD_TO");
    const char *at = getenv("RECORD_BOARD");
    if (!database || !to || !at) return;
    strncpy(path, database, sizeof path - 1);
    strncpy(folder, database, sizeof folder - 1);
    char *last = strrchr(folder, '/');
    if (last) *last = 0;
    int fd = open(at, O_RDWR | O_CLOEXEC);
    void *page = mmap(0, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) abort();
    close(fd);
    board = page;
    out = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (out < 0) abort();
}

static enum file named(const char *name) {
    size_t length = strlen(path);
    if (out < 0 || !name) return NONE;
    if (strcmp(name, folder) == 0) return FOLDER;
    if (strncmp(name, path, length) != 0) return NONE;
    if (strcmp(name + length, "") == 0) return DATABASE;
    if (strcmp(name + length, "-wal") == 0) return LOG;
    if (strcmp(name + length, "-journal") == 0) return JOURNAL;
    if (strcmp(name + length, ".head") == 0) return HEAD;
    if (strcmp(name + length, ".head.new") == 0) return NEW_HEAD;
    return NONE;
}

static enum file of(int fd) {
    return fd >= 0 && fd < 65536 ? atomic_load(&files[fd]) : NONE;
}

static void note(enum kind kind, enum file file, int64_t ok, uint64_t offset, uint64_t length, const void *data) {
    struct record record = {kind, file, ok, offset, length};
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)data, data ? length : 0}};
    size_t all = parts[0].iov_len + parts[1].iov_len;
    if (writev(out, parts, 2) != (ssize_t)all) abort();
}

static int opened(int (*real)(const char *, int, ...), const char *name, int flags, mode_t mode) {
    enum file file = named(name);
    if (file == NONE) {
        int fd = real(name, flags, mode);
        if (fd >= 0 && fd < 65536) atomic_store(&files[fd], NONE);
        return fd;
    }
    pthread_mutex_lock(&order);
    struct stat before;
    int is_new = stat(name, &before) != 0;
    int fd = real(name, flags, mode);
    int saved = errno;
    if (fd >= 0 && fd < 65536) atomic_store(&files[fd], file);
    if (fd >= 0 && is_new) note(CREATE, file, 1, 0, 0, 0);
    if (fd >= 0 && (flags & O_TRUNC)) note(TRUNCATE, file, 1, 0, 0, 0);
    pthread_mutex_unlock(&order);
    errno = saved;
    return fd;
}

#define OPEN(name)                                       \
    int name(const char *at, int flags, ...) {           \
        REAL(int, name, const char *, int, ...);         \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = va_arg(rest, mode_t);              \
        va_end(rest);                                    \
        return opened(real, at, flags, mode);            \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, close, int);
    if (fd >= 0 && fd < 65536) atomic_store(&files[fd], NONE);
    return real(fd);
}

static int has_no_space(int fd, enum file file, uint64_t end) {
    struct stat now;
    return file == DATABASE && atomic_load(&board->no_growth) && fstat(fd, &now) == 0 &&
           end > (uint64_t)now.st_size;
}

static ssize_t written(ssize_t (*real)(int, const void *, size_t, off_t), int fd, const void *data,
                       size_t length, off_t offset) {
    enum file file = of(fd);
    if (file == NONE || file == FOLDER) return real(fd, data, length, offset);
    pthread_mutex_lock(&order);
    ssize_t done = -1;
    if (has_no_space(fd, file, (uint64_t)offset + length))
        errno = ENOSPC;
    else
        done = real(fd, data, length, offset);
    int saved = errno;
    if (done > 0) note(WRITE, file, 1, (uint64_t)offset, (uint64_t)done, data);
    pthread_mutex_unlock(&order);
    errno = saved;
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return written(real, fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    return written(real, fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    enum file file = of(fd);
    if (file == NONE || file == FOLDER) return real(fd, data, length);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = pwrite(fd, data, length, at);
    if (done > 0) lseek(fd, at + done, SEEK_SET);
    return done;
}

static int truncated(int (*real)(int, off_t), int fd, off_t length) {
    enum file file = of(fd);
    if (file == NONE || file == FOLDER) return real(fd, length);
    pthread_mutex_lock(&order);
    int result = real(fd, length);
    int saved = errno;
    if (result == 0) note(TRUNCATE, file, 1, 0, (uint64_t)length, 0);
    pthread_mutex_unlock(&order);
    errno = saved;
    return result;
}

int ftruncate(int fd, off_t length) {
    REAL(int, ftruncate, int, off_t);
    return truncated(real, fd, length);
}

int ftruncate64(int fd, off_t length) {
    REAL(int, ftruncate64, int, off_t);
    return truncated(real, fd, length);
}

static int synced(int (*real)(int), int fd) {
    enum file file = of(fd);
    if (file == NONE) return real(fd);
    pthread_mutex_lock(&order);
    int result = real(fd);
    int saved = errno;
    note(SYNC, file, result == 0, 0, 0, 0);
    pthread_mutex_unlock(&order);
    errno = saved;
    return result;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return synced(real, fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return synced(real, fd);
}

int unlink(const char *name) {
    REAL(int, unlink, const char *);
    enum file file = named(name);
    if (file == NONE || file == FOLDER) return real(name);
    pthread_mutex_lock(&order);
    int result = real(name);
    int saved = errno;
    if (result == 0) note(UNLINK, file, 1, 0, 0, 0);
    pthread_mutex_unlock(&order);
    errno = saved;
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    enum file old = named(from), new = named(to);
    if (old == NONE && new == NONE) return real(from, to);
    /* What the journal cannot show must not happen unseen. */
    if (old == NONE || new == NONE || old == FOLDER || new == FOLDER) abort();
    pthread_mutex_lock(&order);
    int result = real(from, to);
    int saved = errno;
    if (result == 0) {
        note(RENAME, old, 1, new, 0, 0);
        for (int fd = 0; fd < 65536; fd++)
            if (atomic_load(&files[fd]) == old) atomic_store(&files[fd], new);
    }
    pthread_mutex_unlock(&order);
    errno = saved;
    return result;
}
