// Random numbers whose bits are the same on every machine: integer arithmetic, and float32 with
// IEEE operations only, none of them fused. The reference and the vector bodies both use this text,
// so that there is one definition of each number.
#ifndef LORA_KERNELS_RANDOM_MATH_H
#define LORA_KERNELS_RANDOM_MATH_H

#include "internal.h"

typedef struct lk_words {
  uint32_t w[4];
} lk_words;

/// One block of Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
/// 1, 2, 3", 2011).
LK_INLINE lk_words lk_philox(uint64_t seed, uint64_t stream, uint64_t block) {
  uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#if defined(__clang__)
#pragma clang loop unroll(full)
#endif
  for (int round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b;
    c3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (lk_words){{c0, c1, c2, c3}};
}

/// In [0, 1), a multiple of 2^-24. Through a signed integer: that conversion has an instruction.
LK_INLINE float lk_unit(uint32_t bits) { return (float)(int32_t)(bits >> 8) * 0x1p-24f; }

/// low + (high - low) u, kept below `high` where rounding would reach it; `below` is the float next
/// to `high`.
LK_EXACT_ATTRIBUTE LK_INLINE float lk_uniform(uint32_t bits, float low, float span, float high,
                                              float below) {
  LK_EXACT
  const float y = low + span * lk_unit(bits);
  return y < high ? y : below;
}

/// log x for a normal x, as `logf` of the bodies but with unfused operations.
LK_EXACT_ATTRIBUTE LK_INLINE float lk_exact_log(float x) {
  LK_EXACT
  const uint32_t shifted = lk_bits(x) - 0x3f3504f3u;
  const float n = (float)((int32_t)shifted >> 23);
  const float f = lk_float((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  float q = 0.235815287f;
  q = q * z + 0.285373479f;
  q = q * z + 0.400003344f;
  q = q * z + 0.666666627f;
  const float half_square = 0.5f * f * f;
  const float correction = s * (half_square + q * z) + n * -2.12194440e-4f;
  return n * 0.693359375f + (f - (half_square - correction));
}

/// Two independent normals from two words (Box and Muller): radius from the first, angle from the
/// second.
LK_EXACT_ATTRIBUTE LK_INLINE void lk_normal_pair(uint32_t first, uint32_t second, float *cosine,
                                                 float *sine) {
  LK_EXACT
  const float u = (float)(int32_t)((first >> 8) + 1u) * 0x1p-24f;  // in (0, 1]
  const float radius = LK_SQRT(-2.0f * lk_exact_log(u));
  // The angle in turns: the nearest quarter, and what is left of it, in [-1/8, 1/8]; both exact.
  const uint32_t turn = second >> 8;
  const uint32_t quarter = (turn + (1u << 21)) >> 22;
  const float r = (float)((int32_t)turn - (int32_t)(quarter << 22)) * 0x1p-24f;
  const float z = r * r;
  float s = -75.3935699f;
  s = s * z + 81.5923538f;
  s = s * z + -41.3416634f;
  s = s * z + 6.28318548f;
  s = s * r;
  float c = 59.2027969f;
  c = c * z + -85.4422989f;
  c = c * z + 64.9393082f;
  c = c * z + -19.7392082f;
  c = c * z + 1.0f;
  const bool odd = (quarter & 1u) != 0;
  const float a = odd ? s : c, b = odd ? c : s;
  // cos: + - - + over the quarters 0 1 2 3, sin: + + - -
  const uint32_t cosine_sign = ((quarter + 1u) & 2u) << 30, sine_sign = (quarter & 2u) << 30;
  *cosine = radius * lk_float(lk_bits(a) ^ cosine_sign);
  *sine = radius * lk_float(lk_bits(b) ^ sine_sign);
}

LK_EXACT_ATTRIBUTE LK_INLINE float lk_normal_value(float mean, float deviation, float z) {
  LK_EXACT
  return mean + deviation * z;
}

/// An element is kept if the upper 24 bits of its word are not below this: probability 1 - p.
LK_INLINE uint32_t lk_dropout_threshold(float p) {
  const double t = ceil((double)p * 16777216.0);
  return t <= 0.0 ? 0u : t >= 16777216.0 ? 16777216u : (uint32_t)t;
}

#endif
