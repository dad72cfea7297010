// The files that are mapped now, in a table that a signal handler can read, and what it does with it.
//
// Reading a page of a mapped file that is not there any more, because somebody truncated the file or
// its disk went away, is SIGBUS. A handler can't make the read succeed with anything true, nor unwind
// what reads; it can say which file it was and end the process in order.
//
// A slot is taken by writing its fields and then its base, and freed by clearing the base: what the
// handler sees of a slot with a base is whole. Files beyond the table's size are mapped all the same,
// only unnamed.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lora_system.h"

enum { slots = 1024 };

static struct {
  _Atomic uintptr_t base;
  size_t length;
  int descriptor;
  char *path;
} mapped[slots];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic size_t mapped_bytes;
static struct sigaction before;

int lora_mapped_file_add(const void *base, size_t length, int descriptor, const char *path) {
  atomic_fetch_add(&mapped_bytes, length);
  pthread_mutex_lock(&lock);
  int slot = 0;
  while (slot < slots && atomic_load(&mapped[slot].base)) slot++;
  char *copy = slot < slots ? strdup(path) : NULL;
  if (copy) {
    mapped[slot].length = length;
    mapped[slot].descriptor = descriptor;
    mapped[slot].path = copy;
    atomic_store(&mapped[slot].base, (uintptr_t)base);
  }
  pthread_mutex_unlock(&lock);
  return copy ? slot : -1;
}

void lora_mapped_file_remove(int slot, size_t length) {
  atomic_fetch_sub(&mapped_bytes, length);
  if (slot < 0 || slot >= slots) return;
  pthread_mutex_lock(&lock);
  atomic_store(&mapped[slot].base, 0);
  free(mapped[slot].path);
  mapped[slot].path = NULL;
  pthread_mutex_unlock(&lock);
}

size_t lora_mapped_file_bytes(void) { return atomic_load(&mapped_bytes); }

bool lora_mapped_file_shrunk(char *path, size_t room, size_t *had, size_t *has) {
  bool found = false;
  pthread_mutex_lock(&lock);
  for (int slot = 0; slot < slots && !found; slot++) {
    if (!atomic_load(&mapped[slot].base)) continue;
    struct stat status;
    if (fstat(mapped[slot].descriptor, &status) != 0) continue;
    if ((size_t)status.st_size >= mapped[slot].length) continue;
    found = true;
    *had = mapped[slot].length;
    *has = (size_t)status.st_size;
    strncpy(path, mapped[slot].path, room - 1);
    path[room - 1] = 0;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/// Writes text to standard error as a handler may.
static void say(const char *text) {
  for (size_t left = strlen(text); left > 0;) {
    const ssize_t count = write(STDERR_FILENO, text, left);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text += count;
    left -= (size_t)count;
  }
}

static void handle(int number, siginfo_t *info, void *context) {
  (void)context;
  const uintptr_t address = (uintptr_t)info->si_addr;
  for (int slot = 0; slot < slots; slot++) {
    const uintptr_t base = atomic_load(&mapped[slot].base);
    if (!base || address < base || address - base >= mapped[slot].length) continue;
    say("\nerror: ");
    say(mapped[slot].path);
    say(": the file became shorter, or its disk went away, while it was in use; what was computed "
        "since the last save is lost; put the file back and start again\n");
    _exit(1);
  }
  // Not ours: as if there were no handler. The access is made again when this returns.
  sigaction(number, &before, NULL);
}

bool lora_exit_on_truncation(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGBUS, &action, &before) == 0;
}
