// What the process knows of the family whose file includes this behind its bodies. It has named the
// family that it inherits from as LK_INHERITS, and as LK_OVERRIDES(X) the groups of kernels that are
// its own. Its tile of products, LK_TILE_ROWS by LK_TILE_VECTORS vectors, and how it packs factors
// (bodies/gemm_pack.h, or a file of its own) are no one else's business.
static void LK(override)(lk_kernel_table *table) {
#define LK_OVERRIDE(result, name, parameters, arguments) table->name = LK(name);
  LK_OVERRIDES(LK_OVERRIDE)
#undef LK_OVERRIDE
}

const lk_family_kernels LK(kernels) = {
    LK_FAMILY_ID, LK_TEXT(LK_FAMILY), &LK_PASTE(LK_INHERITS, kernels), LK_NEEDS, LK(override),
};
