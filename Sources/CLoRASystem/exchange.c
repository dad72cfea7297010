#define _GNU_SOURCE
#include "lora_system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int lora_exchange(const char *a, const char *b) {
#if defined(__APPLE__)
  return renamex_np(a, b, RENAME_SWAP);
#elif defined(__linux__) && defined(RENAME_EXCHANGE)
  return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
#else
  (void)a;
  (void)b;
  errno = ENOSYS;
  return -1;
#endif
}

// Whether an error says that the system or the file system has no such call.
static int is_unsupported(int code) {
  return code == ENOSYS || code == EINVAL || code == ENOTSUP || code == EOPNOTSUPP;
}

int lora_rename_new(const char *from, const char *to) {
#if defined(__APPLE__)
  if (renamex_np(from, to, RENAME_EXCL) == 0) return 0;
  if (!is_unsupported(errno)) return -1;
#elif defined(__linux__) && defined(RENAME_NOREPLACE)
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (!is_unsupported(errno)) return -1;
#endif
  if (linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0) {
    if (unlink(from) == 0) return 0;
    const int code = errno;
    unlink(to);
    errno = code;
    return -1;
  }
  if (errno == EEXIST) return -1;
  struct stat status;
  if (lstat(to, &status) == 0) {
    errno = EEXIST;
    return -1;
  }
  return rename(from, to);
}
