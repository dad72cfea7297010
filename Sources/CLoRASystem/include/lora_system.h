/// Calls of the operating system that Swift's overlays of the C library leave out.

#ifndef LORA_SYSTEM_H
#define LORA_SYSTEM_H

/// Exchanges what the two paths name, at once: no moment has one of them missing. Both must lie on
/// one file system. Returns 0, or -1 with `errno`: `ENOSYS` or `EINVAL` where the system or the
/// file system can't.
int lora_exchange(const char *a, const char *b);

#endif
