// The pool of threads behind lk_parallel_for.
//
// Workers are made at the first region that wants them and live as long as the process. One region
// runs at a time: its owner publishes it, works on it itself, and any worker that arrives takes the
// next index from an atomic counter. The owner never waits for a worker that has not arrived, so a
// sleeping or preempted worker delays nothing. After a region a worker spins for some microseconds
// (a training step is a dense sequence of regions), then sleeps on a condition variable.
//
// `gate` keeps the two apart: it counts the workers inside the open region, and its top bit says
// that no more may enter. The region's fields are written only while the gate is closed and empty.
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE  // sched_getaffinity
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum { max_threads = 256, closed = 1 << 30, spin_nanoseconds = 30000 };

static struct {
  void (*body)(void *context, long index);
  void *context;
  long count;
} region;

static atomic_bool busy;              // a region is running, or being set up
static atomic_int gate = closed;      // see above
static atomic_long next_index;        // of the open region
static atomic_uint generation;        // how many regions have been published
static atomic_int workers_wanted;     // by the region in hand: workers numbered higher stay away
static atomic_int sleepers;           // workers asleep, or about to be
static atomic_bool owner_waits;       // the owner sleeps until the gate is empty
static int workers_made;              // only touched by the owner of `busy`

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t published = PTHREAD_COND_INITIALIZER;
static pthread_cond_t emptied = PTHREAD_COND_INITIALIZER;

static atomic_int threads_set;  // 0: not yet asked for
static int processors;          // that this process may run on
static pthread_once_t counted = PTHREAD_ONCE_INIT;

static int clamp_threads(long count) {
  return count < 1 ? 1 : count > max_threads ? max_threads : (int)count;
}

static void count_processors(void) {
  long count = 0;
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
  processors = clamp_threads(count);
  const char *wish = getenv("LORA_THREADS");
  const long wanted = wish ? strtol(wish, NULL, 10) : 0;
  int unset = 0;
  atomic_compare_exchange_strong(&threads_set, &unset,
                                 wanted > 0 ? clamp_threads(wanted) : processors);
}

int lk_thread_count(void) {
  pthread_once(&counted, count_processors);
  return atomic_load(&threads_set);
}

void lk_set_thread_count(int count) {
  pthread_once(&counted, count_processors);
  atomic_store(&threads_set, count > 0 ? clamp_threads(count) : processors);
}

LK_INLINE void rest_a_moment(void) {
#if LK_X86
  __builtin_ia32_pause();
#elif LK_ARM
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/// Whether spinning can be worth it: with more threads than processors it takes away the processor
/// that would end the wait.
LK_INLINE bool may_spin(void) {
  return atomic_load_explicit(&workers_wanted, memory_order_relaxed) < processors;
}

static void run_indexes(void) {
  const long count = region.count;
  for (;;) {
    const long index = atomic_fetch_add_explicit(&next_index, 1, memory_order_relaxed);
    if (index >= count) return;
    region.body(region.context, index);
  }
}

static bool enter(void) {
  int inside = atomic_load(&gate);
  while (!(inside & closed))
    if (atomic_compare_exchange_weak(&gate, &inside, inside + 1)) return true;
  return false;
}

static void leave(void) {
  if (atomic_fetch_sub(&gate, 1) - 1 == closed && atomic_load(&owner_waits)) {
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&emptied);
    pthread_mutex_unlock(&lock);
  }
}

/// Returns once a region later than `seen` has been published.
static void await_region(unsigned seen) {
  if (may_spin()) {
    const int64_t end = now() + spin_nanoseconds;
    do {
      for (int i = 0; i < 32; i++) {
        if (atomic_load_explicit(&generation, memory_order_relaxed) != seen) return;
        rest_a_moment();
      }
    } while (now() < end);
  }
  pthread_mutex_lock(&lock);
  // Announced before the last look at the generation; the owner publishes before it looks at
  // `sleepers`. So one of the two sees the other.
  atomic_fetch_add(&sleepers, 1);
  while (atomic_load(&generation) == seen) pthread_cond_wait(&published, &lock);
  atomic_fetch_sub(&sleepers, 1);
  pthread_mutex_unlock(&lock);
}

static void *work(void *argument) {
  const int number = (int)(intptr_t)argument;
  unsigned seen = 0;
  for (;;) {
    await_region(seen);
    seen = atomic_load(&generation);
    if (number >= atomic_load(&workers_wanted) || !enter()) continue;
    run_indexes();
    leave();
  }
  return NULL;
}

/// Makes workers until there are `wanted`, or the system refuses: fewer do the same work.
static void make_workers(int wanted) {
  if (workers_made >= wanted) return;
  // A signal belongs to the threads of the program, which know what to do with it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (workers_made < wanted) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, (void *)(intptr_t)workers_made) != 0) break;
    pthread_detach(thread);
    workers_made++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/// Closes the region and returns when no worker is in it.
static void close_region(void) {
  if (atomic_fetch_or(&gate, closed) == 0) return;
  if (may_spin()) {
    const int64_t end = now() + spin_nanoseconds;
    do {
      for (int i = 0; i < 32; i++) {
        if (atomic_load(&gate) == closed) return;
        rest_a_moment();
      }
    } while (now() < end);
  }
  pthread_mutex_lock(&lock);
  atomic_store(&owner_waits, true);
  while (atomic_load(&gate) != closed) pthread_cond_wait(&emptied, &lock);
  atomic_store(&owner_waits, false);
  pthread_mutex_unlock(&lock);
}

void lk_parallel_for(long count, void (*body)(void *context, long index), void *context) {
  if (count <= 0) return;
  const int threads = lk_thread_count();
  if (count == 1 || threads == 1 || atomic_exchange(&busy, true)) {
    for (long index = 0; index < count; index++) body(context, index);
    return;
  }
  const int workers = count < threads ? (int)count - 1 : threads - 1;
  make_workers(workers);
  region.body = body;
  region.context = context;
  region.count = count;
  atomic_store(&next_index, 0);
  atomic_store(&workers_wanted, workers);
  atomic_store(&gate, 0);
  atomic_fetch_add(&generation, 1);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&published);
    pthread_mutex_unlock(&lock);
  }
  run_indexes();
  close_region();
  atomic_store(&busy, false);
}
