// The bodies with AVX2, FMA and F16C.
#define LK_FAMILY avx2
#define LK_FAMILY_ID LK_FAMILY_AVX2
#define LK_INHERITS generic
#define LK_OVERRIDES(X) LK_KERNELS(X)
#define LK_BODIES "../bodies/all.h"
#define LK_NEEDS LK_CPU_AVX2
#define LK_TARGET "avx2,fma,f16c"
#define LK_LANES 8
#define LK_TILE_ROWS 6
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256
#include "x86.h"
