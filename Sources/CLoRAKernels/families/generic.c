// The bodies with the architecture's baseline instructions (SSE2 on x86-64).
#include "../internal.h"

#define LK_FAMILY generic
#define LK_FAMILY_ID LK_FAMILY_GENERIC
#define LK_INHERITS reference
#define LK_OVERRIDES(X) LK_KERNELS(X)
#define LK_NEEDS LK_CPU_BASELINE
#define LK_LANES 4
#define LK_TILE_ROWS 4
#define LK_TILE_VECTORS 2
#define LK_TILE_DEPTH 256
#include "../bodies/all.h"
#include "family.h"
