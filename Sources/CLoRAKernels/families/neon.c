// The bodies for Arm 64 bit: the baseline there has NEON and the conversions of float16.
#include "../internal.h"

#if LK_ARM
#define LK_FAMILY neon
#define LK_FAMILY_ID LK_FAMILY_NEON
#define LK_HAS_FP16_TYPE 1
#define LK_LANES 4
#define LK_TILE_ROWS 6
#define LK_TILE_VECTORS 4
#define LK_TILE_DEPTH 256
#include "../bodies/all.h"

const lk_kernel_table *const lk_table_neon = &LK(table);
#else
const lk_kernel_table *const lk_table_neon = NULL;
#endif
