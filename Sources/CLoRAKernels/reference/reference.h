// The reference kernels: one obvious loop each, in double precision where a result is rounded, with
// the functions of libm. What every other family is tested against, and a family of its own.
#ifndef LORA_KERNELS_REFERENCE_H
#define LORA_KERNELS_REFERENCE_H

#include "../internal.h"

#define LK_DECLARE(result, name, parameters, arguments) result lk_reference_##name parameters;
LK_KERNELS(LK_DECLARE)
#undef LK_DECLARE

#endif
