// Which family of kernels runs: chosen once, at the first call, and thread-safe.
//
// How to add a kernel `foo`:
//   1. declare `lk_foo` in include/lora_kernels.h, with its exact meaning;
//   2. add a line to LK_KERNELS in include/lora_kernels_table.h (the public function, the table's
//      field and the entries of all families come from it);
//   3. write the obvious version as `lk_reference_foo` in reference/: libm, doubles, no tricks;
//   4. write the vector version as `LK(foo)` in the file of bodies/ for its topic. It is plain C
//      that the compiler vectorizes, compiled once for each family;
//   5. compare the two in Tests/LoRATensorTests/Kernels*Tests.swift, over every small size.
//
// How to add a family: add it to `lk_family`, write families/<name>.c (it names the instruction
// set and includes bodies/all.h), declare its table in internal.h, and name it in the three
// switches below. A family that does better than the compiler in one kernel overrides that field.
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"

#if LK_X86
#include <cpuid.h>

/// The state that the operating system saves at a task switch (XCR0): vectors that it does not
/// save must not be used, whatever the CPU can do.
__attribute__((target("xsave"))) static uint64_t saved_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

// Asked from the CPU itself: __builtin_cpu_supports does not exist on every platform.
static bool cpu_runs(lk_family family) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  const unsigned first = fma | osxsave | avx | f16c;
  if ((c & first) != first || (saved_state() & 0x6) != 0x6) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned last_subleaf = a;
  if (!(b & 1u << 5)) return false;  // AVX2
  if (family == LK_FAMILY_AVX2) return true;
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // AVX-512 F, DQ, BW, VL
  if ((b & wide) != wide || (saved_state() & 0xe6) != 0xe6) return false;
  if (family == LK_FAMILY_AVX512) return true;
  if (last_subleaf < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  return (a & 1u << 5) != 0;  // AVX512_BF16
}

/// Whether the dot product of bfloat16 pairs is slower than two multiply-adds. On Intel's cores since
/// Golden Cove it is: one every second cycle beside two multiply-adds a cycle (measured on Emerald
/// Rapids, 85 and 169 GFLOP/s), where AMX is meant for it. AVX512_FP16 came with those cores.
static bool is_dot_product_slow(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return false;
  const bool is_intel = b == signature_INTEL_ebx && d == signature_INTEL_edx;
  return is_intel && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 23) != 0;
}
#else
static bool is_dot_product_slow(void) { return false; }
#endif

const lk_kernel_table *lk_family_table(lk_family family) {
  switch (family) {
    case LK_FAMILY_REFERENCE: return lk_table_reference;
    case LK_FAMILY_GENERIC: return lk_table_generic;
    case LK_FAMILY_NEON: return lk_table_neon;
#if LK_X86
    case LK_FAMILY_AVX2: return cpu_runs(family) ? lk_table_avx2 : NULL;
    case LK_FAMILY_AVX512: return cpu_runs(family) ? lk_table_avx512 : NULL;
    case LK_FAMILY_AVX512BF16: return cpu_runs(family) ? lk_table_avx512bf16 : NULL;
#else
    case LK_FAMILY_AVX2:
    case LK_FAMILY_AVX512:
    case LK_FAMILY_AVX512BF16: return NULL;
#endif
  }
  return NULL;
}

const char *lk_family_name(lk_family family) {
  switch (family) {
    case LK_FAMILY_REFERENCE: return "reference";
    case LK_FAMILY_GENERIC: return "generic";
    case LK_FAMILY_AVX2: return "avx2";
    case LK_FAMILY_AVX512: return "avx512";
    case LK_FAMILY_AVX512BF16: return "avx512bf16";
    case LK_FAMILY_NEON: return "neon";
  }
  return "unknown";
}

// Best first.
static const lk_family preference[] = {
    LK_FAMILY_AVX512BF16, LK_FAMILY_AVX512,  LK_FAMILY_AVX2,
    LK_FAMILY_NEON,       LK_FAMILY_GENERIC, LK_FAMILY_REFERENCE,
};
enum { family_count = sizeof preference / sizeof preference[0] };

static _Atomic(const lk_kernel_table *) active;

static const lk_kernel_table *choose(void) {
  const lk_kernel_table *chosen = NULL;
  const char *wish = getenv("LORA_KERNELS");
  for (int i = 0; wish && i < family_count && !chosen; i++)
    if (strcmp(wish, lk_family_name(preference[i])) == 0) chosen = lk_family_table(preference[i]);
  for (int i = 0; i < family_count && !chosen; i++)
    if (preference[i] != LK_FAMILY_AVX512BF16 || !is_dot_product_slow())
      chosen = lk_family_table(preference[i]);
  // Two threads may choose at once; they choose the same. What lk_select_family set stays.
  const lk_kernel_table *none = NULL;
  atomic_compare_exchange_strong(&active, &none, chosen);
  return none ? none : chosen;
}

LK_INLINE const lk_kernel_table *kernels_in_use(void) {
  const lk_kernel_table *chosen = atomic_load_explicit(&active, memory_order_acquire);
  return chosen ? chosen : choose();
}

bool lk_family_is_supported(lk_family family) { return lk_family_table(family) != NULL; }

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
