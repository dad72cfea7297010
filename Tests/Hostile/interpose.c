/// Counts the calls that change files, and lets one of them fail or kill the process. Preloaded by
/// interrupt.py:
///
///   FAULT_LOG=FILE        append a line for each counted call
///   FAULT_AT=N            the call that is meant; without it nothing fails
///   FAULT_KIND=kill       the process is killed before the call
///             =partial    a write writes half and the process is killed; another call as with kill
///             =error      the call fails: ENOSPC where it needs room, else EIO
///             =full       it and every later call that needs room fail with ENOSPC
///   FAULT_NO_EXCHANGE=1   the file system can't exchange two names

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int calls;

static int next_call(const char *name, const char *detail) {
  int number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  const char *path = getenv("FAULT_LOG");
  if (path) {
    // Not through the functions below.
    static int (*real_open)(const char *, int, ...);
    static ssize_t (*real_write)(int, const void *, size_t);
    if (!real_open) *(void **)&real_open = dlsym(RTLD_NEXT, "open");
    if (!real_write) *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    char line[4096];
    int length = snprintf(line, sizeof line, "%d %s %s\n", number, name, detail);
    int file = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file >= 0) {
      if (real_write(file, line, length) < 0) abort();
      close(file);
    }
  }
  return number;
}

static int kind_is(const char *kind) {
  const char *value = getenv("FAULT_KIND");
  return value && strcmp(value, kind) == 0;
}

/// Whether the call fails; does not return if the process is to die.
static int fails(const char *name, const char *detail, int needs_room) {
  int number = next_call(name, detail);
  const char *text = getenv("FAULT_AT");
  int at = text ? atoi(text) : 0;
  if (at <= 0) return 0;
  if (kind_is("full")) {
    if (number < at || !needs_room) return 0;
    errno = ENOSPC;
    return 1;
  }
  if (number != at) return 0;
  if (kind_is("error")) {
    errno = needs_room ? ENOSPC : EIO;
    return 1;
  }
  if (kind_is("partial") && strcmp(name, "write") == 0) return 2;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

static int is_plain(int file) {
  struct stat status;
  return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

#define OPENING(function) \
  int function(const char *path, int flags, ...) { \
    REAL(function); \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
    } \
    if (flags & (O_CREAT | O_TRUNC) && fails("open", path, 1)) return -1; \
    return real(path, flags, mode); \
  }

OPENING(open)
OPENING(open64)

ssize_t write(int file, const void *bytes, size_t count) {
  REAL(write);
  if (is_plain(file)) {
    switch (fails("write", "", 1)) {
    case 1: return -1;
    case 2:
      if (real(file, bytes, count / 2) < 0) abort();
      kill(getpid(), SIGKILL);
    }
  }
  return real(file, bytes, count);
}

int fsync(int file) {
  REAL(fsync);
  return fails("fsync", "", 0) ? -1 : real(file);
}

int fchmod(int file, mode_t mode) {
  REAL(fchmod);
  return fails("fchmod", "", 0) ? -1 : real(file, mode);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return fails("mkdir", path, 1) ? -1 : real(path, mode);
}

int rmdir(const char *path) {
  REAL(rmdir);
  return fails("rmdir", path, 0) ? -1 : real(path);
}

int unlink(const char *path) {
  REAL(unlink);
  return fails("unlink", path, 0) ? -1 : real(path);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  return fails("rename", to, 1) ? -1 : real(from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  REAL(renameat2);
  if (getenv("FAULT_NO_EXCHANGE")) {
    errno = EINVAL;
    return -1;
  }
  return fails("renameat2", to, 1) ? -1 : real(a, from, b, to, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
  REAL(linkat);
  return fails("linkat", to, 1) ? -1 : real(a, from, b, to, flags);
}

int remove(const char *path) {
  REAL(remove);
  return fails("remove", path, 0) ? -1 : real(path);
}
