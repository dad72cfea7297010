// AVX-512 with the dot product of bfloat16 pairs, for products that round their factors. No other
// kernel rounds its inputs.
#define LK_FAMILY avx512bf16
#define LK_FAMILY_ID LK_FAMILY_AVX512BF16
#define LK_INHERITS avx512
#define LK_OVERRIDES(X) LK_PRODUCTS(X)
#define LK_BODIES "../bodies/products.h"
#define LK_NEEDS LK_CPU_AVX512BF16
#define LK_TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c"
#define LK_HAS_BF16_DOT 1
#define LK_HAS_EMBEDDED_BROADCAST 1
#define LK_LANES 16
#define LK_TILE_ROWS 12
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256
#include "x86.h"
