/// What Swift can't ask of the operating system by itself: calls that its overlays of the C library
/// leave out, and a signal handler.

#ifndef LORA_SYSTEM_H
#define LORA_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Files

/// Exchanges what the two paths name, at once: no moment has one of them missing. Both must lie on
/// one file system. Returns 0, or -1 with `errno`: `ENOSYS` or `EINVAL` where the system or the
/// file system can't.
int lora_exchange(const char *a, const char *b);

/// Renames `from` to `to`, which must not exist: `EEXIST` if it does, and nothing has changed. Where
/// the file system can't do that at once, a file gets its second name before it loses the first; of a
/// folder it is looked whether `to` exists, and then renamed.
int lora_rename_new(const char *from, const char *to);

// MARK: Limits of the process

/// The most bytes of address space that this process may have (ulimit -v); -1: no limit.
int64_t lora_address_space_limit(void);
/// The most bytes of memory of its own that it may have, resident or not (ulimit -d); -1: no limit.
int64_t lora_data_limit(void);
/// Whether this program was built to be watched by AddressSanitizer.
bool lora_is_address_sanitized(void);

/// The entry of the environment at `index`, NAME=VALUE; NULL behind the last.
const char *lora_environment_entry(size_t index);

// MARK: Mapped files

/// Notes a file mapped at `base`, whose open descriptor and path these are; the slot to remove it
/// with, or -1 where the table is full. The path is copied.
int lora_mapped_file_add(const void *base, size_t length, int descriptor, const char *path);
/// Forgets it, before it is unmapped.
void lora_mapped_file_remove(int slot, size_t length);
/// The bytes of all mapped files.
size_t lora_mapped_file_bytes(void);
/// Whether a mapped file is shorter than it was when it was mapped: writes its path, cut to `room`
/// bytes, its size then and now.
bool lora_mapped_file_shrunk(char *path, size_t room, size_t *had, size_t *has);
/// From now on a read of a mapped file beyond its end names the file on standard error and ends the
/// process with status 1, instead of SIGBUS. Other SIGBUS go to who handled them before.
bool lora_exit_on_truncation(void);

// MARK: Terminals

/// From now on each key of the terminal `in` is read as it is pressed, is not shown, and ends nothing;
/// what is pasted comes between ESC[200~ and ESC[201~ where `out` knows that. Every end of the process
/// but SIGKILL gives the terminal back. False, and nothing has changed, if it is no terminal.
bool lora_terminal_begin(int in, int out);
/// Gives the terminal back.
void lora_terminal_end(void);
/// Stops the process, as Ctrl-Z does, with the terminal given back; returns when it goes on.
void lora_terminal_suspend(void);
/// Whether the terminal's size changed or the process went on since the last call: then what waits
/// for a key returned early.
bool lora_terminal_take_change(void);

#endif
