// What instructions this CPU has.
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
bool lk_cpu_has(lk_cpu instructions) {
  unsigned a, b, c, d;
  if (instructions == LK_CPU_BASELINE) return true;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  const unsigned first = fma | osxsave | avx | f16c;
  if ((c & first) != first || (saved_state() & 0x6) != 0x6) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned last_subleaf = a;
  if (!(b & 1u << 5)) return false;  // AVX2
  if (instructions == LK_CPU_AVX2) return true;
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // AVX-512 F, DQ, BW, VL
  if ((b & wide) != wide || (saved_state() & 0xe6) != 0xe6) return false;
  if (instructions == LK_CPU_AVX512) return true;
  if (last_subleaf < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  return (a & 1u << 5) != 0;  // AVX512_BF16
}

// On Intel's cores since Golden Cove it is: one every second cycle beside two multiply-adds a cycle
// (measured on Emerald Rapids, 85 and 169 GFLOP/s), where AMX is meant for it. AVX512_FP16 came with
// those cores.
bool lk_cpu_is_bf16_dot_slow(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return false;
  const bool is_intel = b == signature_INTEL_ebx && d == signature_INTEL_edx;
  return is_intel && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 23) != 0;
}
#else
bool lk_cpu_has(lk_cpu instructions) { return instructions == LK_CPU_BASELINE; }
bool lk_cpu_is_bf16_dot_slow(void) { return false; }
#endif
