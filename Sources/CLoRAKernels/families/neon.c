// The bodies for Arm 64 bit: the baseline there has NEON and the conversions of float16.
#include "../internal.h"

#define LK_FAMILY neon
#if LK_ARM
#define LK_FAMILY_ID LK_FAMILY_NEON
#define LK_INHERITS generic
#define LK_OVERRIDES(X) LK_KERNELS(X)
#define LK_NEEDS LK_CPU_BASELINE
#define LK_HAS_FP16_TYPE 1
#define LK_LANES 4
#define LK_TILE_ROWS 6
#define LK_TILE_VECTORS 4
#define LK_TILE_DEPTH 256
#include "../bodies/all.h"
#include "family.h"
#else
const lk_family_kernels LK(kernels) = {
    LK_FAMILY_NEON, LK_TEXT(LK_FAMILY), NULL, LK_CPU_BASELINE, NULL,
};
#endif
