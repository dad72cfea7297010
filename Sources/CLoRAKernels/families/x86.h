// The bodies for one of x86-64's instruction sets. The including file names the family, its
// instructions as LK_TARGET, and what its registers hold.
#include "../internal.h"

#define LK_TABLE_OF_TEXT(family) lk_table_##family
#define LK_TABLE_OF(family) LK_TABLE_OF_TEXT(family)

#if LK_X86
#include <immintrin.h>  // before the pragma: its functions have targets of their own

#define LK_HAS_F16C 1
#define LK_PRAGMA_TEXT(...) _Pragma(#__VA_ARGS__)
#define LK_PRAGMA(...) LK_PRAGMA_TEXT(__VA_ARGS__)
#if defined(__clang__)
LK_PRAGMA(clang attribute push(__attribute__((target(LK_TARGET))), apply_to = function))
#else
LK_PRAGMA(GCC push_options)
LK_PRAGMA(GCC target(LK_TARGET))
#endif
#include "../bodies/all.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const lk_kernel_table *const LK_TABLE_OF(LK_FAMILY) = &LK(table);
#else
const lk_kernel_table *const LK_TABLE_OF(LK_FAMILY) = NULL;
#endif
