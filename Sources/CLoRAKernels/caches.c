// How large the caches are that products are cut to fit.
#include <unistd.h>

#include "internal.h"

long lk_second_level_cache(void) {
  long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  return bytes > 0 ? bytes : 1 << 20;
}
