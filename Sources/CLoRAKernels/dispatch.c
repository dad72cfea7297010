// Which family of kernels runs: chosen once, at the first call, and thread-safe.
//
// How to add a kernel `foo`:
//   1. declare `lk_foo` in include/lora_kernels.h, with its exact meaning;
//   2. add a line to its group in include/lora_kernels_table.h (the public function, the table's
//      field and the entries of all families come from it);
//   3. write the obvious version as `lk_reference_foo` in reference/: libm, doubles, no tricks;
//   4. write the vector version as `LK(foo)` in the file of bodies/ for its topic. It is plain C
//      that the compiler vectorizes, compiled once for each family that has the group of its own;
//   5. compare the two in Tests/LoRATensorTests/Kernels*Tests.swift, over every small size.
//
// How to add a family: add it to `lk_family`, write families/<name>.c, and name it below and in
// internal.h (and what it needs in cpu.c, if that is new). Its file says which family it inherits from
// and which groups of kernels it overrides, and has bodies for these alone: avx512bf16.c is one with
// a single group. Products may have another tile and pack their factors otherwise: a body of its own
// for LK_PRODUCTS is all that this takes.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"

// Best first.
static const lk_family_kernels *const families[] = {
    &lk_avx512bf16_kernels, &lk_avx512_kernels,  &lk_avx2_kernels,
    &lk_neon_kernels,       &lk_generic_kernels, &lk_reference_kernels,
};
enum { family_count = sizeof families / sizeof families[0] };

// MARK: The families' tables

void lk_fill_table(const lk_family_kernels *family, lk_kernel_table *table) {
  if (family->inherits) lk_fill_table(family->inherits, table);
  family->override(table);
  table->family = family->family;
}

static lk_kernel_table tables[family_count];
static pthread_once_t are_filled = PTHREAD_ONCE_INIT;

static bool runs_here(const lk_family_kernels *family) {
  return family->override && lk_cpu_has(family->needs);
}

static void fill_tables(void) {
  for (int i = 0; i < family_count; i++)
    if (runs_here(families[i])) lk_fill_table(families[i], &tables[i]);
}

static const lk_kernel_table *table_at(int place) {
  if (!runs_here(families[place])) return NULL;
  pthread_once(&are_filled, fill_tables);
  return &tables[place];
}

const lk_kernel_table *lk_family_table(lk_family family) {
  for (int i = 0; i < family_count; i++)
    if (families[i]->family == family) return table_at(i);
  return NULL;
}

bool lk_family_is_supported(lk_family family) { return lk_family_table(family) != NULL; }

const char *lk_family_name(lk_family family) {
  for (int i = 0; i < family_count; i++)
    if (families[i]->family == family) return families[i]->name;
  return "unknown";
}

// MARK: The family in use

static _Atomic(const lk_kernel_table *) active;

static const lk_kernel_table *choose(void) {
  const lk_kernel_table *chosen = NULL;
  const char *wish = getenv("LORA_KERNELS");
  for (int i = 0; wish && i < family_count && !chosen; i++)
    if (strcmp(wish, families[i]->name) == 0) chosen = table_at(i);
  for (int i = 0; i < family_count && !chosen; i++)
    if (families[i]->family != LK_FAMILY_AVX512BF16 || !lk_cpu_is_bf16_dot_slow())
      chosen = table_at(i);
  // Two threads may choose at once; they choose the same. What lk_select_family set stays.
  const lk_kernel_table *none = NULL;
  atomic_compare_exchange_strong(&active, &none, chosen);
  return none ? none : chosen;
}

LK_INLINE const lk_kernel_table *kernels_in_use(void) {
  const lk_kernel_table *chosen = atomic_load_explicit(&active, memory_order_acquire);
  return chosen ? chosen : choose();
}

lk_family lk_active_family(void) { return kernels_in_use()->family; }

bool lk_select_family(lk_family family) {
  const lk_kernel_table *chosen = lk_family_table(family);
  if (!chosen) return false;
  atomic_store(&active, chosen);
  return true;
}

#define LK_PUBLIC(result, name, parameters, arguments) \
  result lk_##name parameters { return kernels_in_use()->name arguments; }
LK_KERNELS(LK_PUBLIC)
