// The bodies with AVX-512 F, BW, VL and DQ.
#define LK_FAMILY avx512
#define LK_FAMILY_ID LK_FAMILY_AVX512
#define LK_INHERITS avx2
#define LK_OVERRIDES(X) LK_KERNELS(X)
#define LK_BODIES "../bodies/all.h"
#define LK_NEEDS LK_CPU_AVX512
#define LK_TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
#define LK_HAS_EMBEDDED_BROADCAST 1
#define LK_LANES 16
#define LK_TILE_ROWS 12
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256
#include "x86.h"
