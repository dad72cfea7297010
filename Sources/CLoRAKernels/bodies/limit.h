// The most arithmetic that a core does: independent chains of multiply-adds in registers, without
// memory. What the speed of products is compared with.
//
// sink[0] and sink[1] are the factor and the term of every step; sink[2] gets a result, so that no
// compiler leaves the work out.
#pragma once
#include "reduce.h"

#if LK_LANES == 16
#define LK_CHAINS 16
#elif LK_LANES == 8 || LK_ARM
#define LK_CHAINS 6
#else
#define LK_CHAINS 3
#endif

static long LK(float_chains)(long rounds, float *sink) {
  LK(f16x) acc[LK_CHAINS];
  const LK(f16x) factor = (LK(f16x)){0} + sink[0], term = (LK(f16x)){0} + sink[1];
  LK_UNROLL
  for (int c = 0; c < LK_CHAINS; c++) acc[c] = term * (float)c;
  for (long r = 0; r < rounds; r++) {
    LK_UNROLL
    for (int c = 0; c < LK_CHAINS; c++) acc[c] = acc[c] * factor + term;
  }
  LK_UNROLL
  for (int c = 1; c < LK_CHAINS; c++) acc[0] += acc[c];
  sink[2] = LK(fold)(acc);
  return rounds * LK_CHAINS * 32;
}

static long LK(bfloat16_chains)(long rounds, float *sink) {
#if LK_HAS_BF16_DOT
  LK(f16x) acc[LK_CHAINS];
  const __m512bh factor = (__m512bh)_mm512_set1_epi32((int)lk_bits(sink[0]));
  const __m512bh term = (__m512bh)_mm512_set1_epi32((int)lk_bits(sink[1]));
  LK_UNROLL
  for (int c = 0; c < LK_CHAINS; c++) acc[c] = (LK(f16x)){0} + (float)c;
  for (long r = 0; r < rounds; r++) {
    LK_UNROLL
    for (int c = 0; c < LK_CHAINS; c++)
      acc[c] = (LK(f16x))_mm512_dpbf16_ps((__m512)acc[c], factor, term);
  }
  LK_UNROLL
  for (int c = 1; c < LK_CHAINS; c++) acc[0] += acc[c];
  sink[2] = LK(fold)(acc);
  return rounds * LK_CHAINS * 64;
#else
  return LK(float_chains)(rounds, sink);  // products of bfloat16 are float32 products here
#endif
}
