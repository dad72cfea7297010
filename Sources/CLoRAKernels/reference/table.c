// The table of the reference family.
#include "reference.h"

static const lk_kernel_table table = {
    LK_FAMILY_REFERENCE,
#define LK_ENTRY(result, name, parameters, arguments) lk_reference_##name,
    LK_KERNELS(LK_ENTRY)
#undef LK_ENTRY
};

const lk_kernel_table *const lk_table_reference = &table;
