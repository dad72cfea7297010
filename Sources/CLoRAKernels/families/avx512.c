// The bodies with AVX-512 F, BW, VL and DQ.
#include "../internal.h"

#if LK_X86
#include <immintrin.h>  // before the pragma: its functions have targets of their own

#define LK_FAMILY avx512
#define LK_FAMILY_ID LK_FAMILY_AVX512
#define LK_HAS_F16C 1
#define LK_LANES 16
#define LK_TILE_ROWS 12
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif
#include "../bodies/all.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const lk_kernel_table *const lk_table_avx512 = &LK(table);
#else
const lk_kernel_table *const lk_table_avx512 = NULL;
#endif
