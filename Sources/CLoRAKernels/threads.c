// The pool of threads behind lk_parallel_for.
//
// Workers are made at the first region that wants them and live as long as the process. One region
// runs at a time: its owner publishes it, works on it itself, and any worker that arrives joins in.
// The owner never waits for a worker that has not arrived, so a sleeping or preempted worker delays
// nothing. After a region a worker spins for a fifth of a millisecond (a training step is a dense
// sequence of regions), then sleeps on a condition variable.
//
// Each thread has a share of consecutive indexes, the same part in every region of one size: what
// it asked its caches for while it computed one index is there for the next, and rows that one
// region wrote are near the thread that the next one gives them to. Who is done takes the later
// half of what another has left.
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

enum { max_threads = 256, closed = 1 << 30, spin_nanoseconds = 200000 };

static struct {
  void (*body)(void *context, long index);
  void *context;
  int threads;  // that have a share
} region;

/// What is left of a thread's share: its first index in the low half, its end in the high half.
static struct {
  _Alignas(64) _Atomic uint64_t left;
} shares[max_threads];

static atomic_bool busy;              // a region is running, or being set up
static atomic_int gate = closed;      // see above
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
  // The same rule as in EnvironmentVariables.problems, which tells of what is not followed.
  const char *wish = getenv("LORA_THREADS");
  char *end = NULL;
  long wanted = wish ? strtol(wish, &end, 10) : 0;
  if (wish && (*wish < '0' || *wish > '9' || *end != 0)) wanted = 0;
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

LK_INLINE uint64_t indexes(uint64_t first, uint64_t end) { return end << 32 | first; }
LK_INLINE uint32_t first_of(uint64_t indexes) { return (uint32_t)indexes; }
LK_INLINE uint32_t end_of(uint64_t indexes) { return (uint32_t)(indexes >> 32); }

/// Runs what is left of the share of thread `number`.
static void run_share(int number) {
  _Atomic uint64_t *mine = &shares[number].left;
  uint64_t left = atomic_load_explicit(mine, memory_order_relaxed);
  while (first_of(left) < end_of(left)) {
    const uint64_t rest = indexes(first_of(left) + 1, end_of(left));
    if (!atomic_compare_exchange_weak_explicit(mine, &left, rest, memory_order_relaxed,
                                               memory_order_relaxed))
      continue;
    region.body(region.context, first_of(left));
    left = atomic_load_explicit(mine, memory_order_relaxed);
  }
}

/// Makes the later half of what thread `other` has left the share of thread `number`, which has
/// none; false if there is nothing. A share that was seen never comes back within a region, since
/// its first index has been run: the exchange can't take one for another.
static bool take_half(int number, int other) {
  _Atomic uint64_t *theirs = &shares[other].left;
  uint64_t left = atomic_load_explicit(theirs, memory_order_relaxed);
  while (first_of(left) < end_of(left)) {
    const uint32_t middle = first_of(left) + (end_of(left) - first_of(left)) / 2;
    if (!atomic_compare_exchange_weak_explicit(theirs, &left, indexes(first_of(left), middle),
                                               memory_order_relaxed, memory_order_relaxed))
      continue;
    atomic_store_explicit(&shares[number].left, indexes(middle, end_of(left)),
                          memory_order_relaxed);
    return true;
  }
  return false;
}

static void run_indexes(int number) {
  run_share(number);
  for (int step = 1; step < region.threads;) {
    if (take_half(number, (number + step) % region.threads)) {
      run_share(number);
      step = 1;
    } else {
      step++;
    }
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
    if (number > atomic_load(&workers_wanted) || !enter()) continue;
    run_indexes(number);
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
    if (pthread_create(&thread, NULL, work, (void *)(intptr_t)(workers_made + 1)) != 0) break;
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
  if (count == 1 || count > UINT32_MAX || threads == 1 || atomic_exchange(&busy, true)) {
    for (long index = 0; index < count; index++) body(context, index);
    return;
  }
  const int workers = count < threads ? (int)count - 1 : threads - 1;
  make_workers(workers);
  region.body = body;
  region.context = context;
  region.threads = workers + 1;
  for (int i = 0; i <= workers; i++)
    atomic_store_explicit(&shares[i].left,
                          indexes((uint64_t)(count * i / (workers + 1)),
                                  (uint64_t)(count * (i + 1) / (workers + 1))),
                          memory_order_relaxed);
  atomic_store(&workers_wanted, workers);
  atomic_store(&gate, 0);
  atomic_fetch_add(&generation, 1);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&published);
    pthread_mutex_unlock(&lock);
  }
  run_indexes(0);
  close_region();
  atomic_store(&busy, false);
}
