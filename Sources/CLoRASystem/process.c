// What the system lets this process have, and what it was told.
#include <sys/resource.h>
#include <unistd.h>

#include "lora_system.h"

#if defined(__APPLE__)
#include <crt_externs.h>
#define environ (*_NSGetEnviron())
#else
extern char **environ;
#endif

static int64_t soft_limit(int resource) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return -1;
  return limit.rlim_cur > INT64_MAX ? -1 : (int64_t)limit.rlim_cur;
}

int64_t lora_address_space_limit(void) { return soft_limit(RLIMIT_AS); }
int64_t lora_data_limit(void) { return soft_limit(RLIMIT_DATA); }

bool lora_is_address_sanitized(void) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  return true;
#endif
#endif
  return false;
}

const char *lora_environment_entry(size_t index) {
  for (size_t i = 0; environ && environ[i]; i++)
    if (i == index) return environ[i];
  return NULL;
}
