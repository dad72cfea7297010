// The bodies with AVX2, FMA and F16C.
#include "../internal.h"

#if LK_X86
#include <immintrin.h>  // before the pragma: its functions have targets of their own

#define LK_FAMILY avx2
#define LK_FAMILY_ID LK_FAMILY_AVX2
#define LK_HAS_F16C 1
#define LK_LANES 8
#define LK_TILE_ROWS 6
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#include "../bodies/all.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const lk_kernel_table *const lk_table_avx2 = &LK(table);
#else
const lk_kernel_table *const lk_table_avx2 = NULL;
#endif
