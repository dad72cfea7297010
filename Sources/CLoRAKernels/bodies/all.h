// Every vector body, for the family that the including file names. The order is dependency order.
//
// The bodies are plain C, written so that the compiler vectorizes them: no branch in a hot loop, no
// call that is not inlined, reductions with their lanes written out. The order of every sum is
// fixed by the code, never by the number of threads.
#define LK_PASTE2(family, name) lk_##family##_##name
#define LK_PASTE(family, name) LK_PASTE2(family, name)
#define LK(name) LK_PASTE(LK_FAMILY, name)

#include "functions.h"
#include "reduce.h"

#include "convert.h"
#include "elementwise.h"
#include "unary.h"
#include "rows.h"
#include "attention.h"
#include "panels.h"
#include "norms.h"
#include "rotary.h"
#include "embedding.h"
#include "loss.h"
#include "optimizer.h"
#include "random.h"
#include "gemv.h"
#include "blocks.h"
#include "blocks_quantize.h"
#include "decoding.h"
#include "gemm_ahead.h"
#include "gemm_pack.h"
#include "gemm.h"
#include "limit.h"

static const lk_kernel_table LK(table) = {
    LK_FAMILY_ID,
#define LK_ENTRY(result, name, parameters, arguments) LK(name),
    LK_KERNELS(LK_ENTRY)
#undef LK_ENTRY
};
