// The reference family: it inherits nothing.
#include "reference.h"

static void override(lk_kernel_table *table) {
#define LK_OVERRIDE(result, name, parameters, arguments) table->name = lk_reference_##name;
  LK_KERNELS(LK_OVERRIDE)
#undef LK_OVERRIDE
}

const lk_family_kernels lk_reference_kernels = {
    LK_FAMILY_REFERENCE, "reference", NULL, LK_CPU_BASELINE, override,
};
