// The bodies with AVX-512 F, BW, VL and DQ.
//
// The family with the bfloat16 dot product has the same kernels: that instruction rounds both
// factors to bfloat16, and no kernel of this list allows that (`lk_gemv_bf16` takes float32
// activations). It is a family of its own for the matrix products that do.
#include "../internal.h"

#if LK_X86
#include <immintrin.h>  // before the pragma: its functions have targets of their own

#define LK_FAMILY avx512
#define LK_FAMILY_ID LK_FAMILY_AVX512
#define LK_HAS_F16C 1

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

static const lk_kernel_table with_bf16 = {
    LK_FAMILY_AVX512BF16,
#define LK_ENTRY(result, name, parameters, arguments) LK(name),
    LK_KERNELS(LK_ENTRY)
#undef LK_ENTRY
};

const lk_kernel_table *const lk_table_avx512 = &LK(table);
const lk_kernel_table *const lk_table_avx512bf16 = &with_bf16;
#else
const lk_kernel_table *const lk_table_avx512 = NULL;
const lk_kernel_table *const lk_table_avx512bf16 = NULL;
#endif
