// The bodies for one of x86-64's instruction sets. The including file names the family, the bodies
// that are its own as LK_BODIES, its instructions as LK_TARGET, and what its registers hold.
#include "../internal.h"

#if LK_X86
#include <immintrin.h>  // before the pragma: its functions have targets of their own

#define LK_HAS_F16C 1
#define LK_PRAGMA_TEXT(...) _Pragma(#__VA_ARGS__)
#define LK_PRAGMA(...) LK_PRAGMA_TEXT(__VA_ARGS__)
// What the bodies include may hold kernels that the family inherits.
#pragma GCC diagnostic ignored "-Wunused-function"
#if defined(__clang__)
LK_PRAGMA(clang attribute push(__attribute__((target(LK_TARGET))), apply_to = function))
#else
LK_PRAGMA(GCC push_options)
LK_PRAGMA(GCC target(LK_TARGET))
#endif
#include LK_BODIES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#include "family.h"
#else
const lk_family_kernels LK(kernels) = {LK_FAMILY_ID, LK_TEXT(LK_FAMILY), NULL, LK_NEEDS, NULL};
#endif
