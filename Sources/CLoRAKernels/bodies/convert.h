// Conversions between float32 and the two 16-bit formats.
#pragma once

static void LK(f32_from_bf16)(long n, const uint16_t *x, float *y) {
  LK_SIMD
  for (long i = 0; i < n; i++) y[i] = lk_float((uint32_t)x[i] << 16);
}

static void LK(bf16_from_f32)(long n, const float *x, uint16_t *y) {
  LK_SIMD
  for (long i = 0; i < n; i++) {
    const uint32_t bits = lk_bits(x[i]);
    const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    const uint32_t quiet = bits | 0x00400000u;
    y[i] = (uint16_t)(((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) >> 16);
  }
}

/// Exact. A signalling NaN becomes quiet, as the instruction makes it.
LK_INLINE float LK(widen_f16)(uint16_t half) {
  const uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;
  // As float32 bits the exponent is 112 too small; the product repairs that, subnormals included.
  const uint32_t finite = lk_bits(lk_float(magnitude) * 5.192296858534828e33f);
  const uint32_t special = magnitude | 0x7f800000u | (magnitude > 0x0f800000u ? 0x400000u : 0u);
  const uint32_t bits = magnitude >= 0x0f800000u ? special : finite;
  return lk_float(bits | (uint32_t)(half & 0x8000u) << 16);
}

LK_INLINE uint16_t LK(narrow_f16)(float x) {
  const uint32_t bits = lk_bits(x), magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // 1/2 has the unit in the last place that float16 subnormals have, so the sum rounds to it.
  const uint32_t small = lk_bits(lk_float(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  uint32_t half = magnitude < 0x38800000u ? small : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? nan : half;
  return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

static void LK(f32_from_f16)(long n, const uint16_t *x, float *y) {
  long i = 0;
#if LK_HAS_F16C
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#elif LK_HAS_FP16_TYPE
  for (; i < n; i++) {
    __fp16 half;
    memcpy(&half, x + i, sizeof half);
    y[i] = (float)half;
  }
#endif
  LK_SIMD
  for (long j = i; j < n; j++) y[j] = LK(widen_f16)(x[j]);
}

static void LK(f16_from_f32)(long n, const float *x, uint16_t *y) {
  long i = 0;
#if LK_HAS_F16C
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((__m128i *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i),
                                                         _MM_FROUND_TO_NEAREST_INT));
#elif LK_HAS_FP16_TYPE
  for (; i < n; i++) {
    const __fp16 half = (__fp16)x[i];
    memcpy(y + i, &half, sizeof half);
  }
#endif
  LK_SIMD
  for (long j = i; j < n; j++) y[j] = LK(narrow_f16)(x[j]);
}
