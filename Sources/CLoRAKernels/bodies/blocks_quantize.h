// Numbers into blocks: what a merged weight is stored as. Only the formats of 32 elements, whose
// rounding is defined by a few operations; each of those rounds by itself (LK_EXACT).
#pragma once
#include "blocks.h"

LK_INLINE void LK(put_half)(float value, uint8_t *y) {
  const uint16_t bits = LK(narrow_f16)(value);
  memcpy(y, &bits, sizeof bits);
}

/// The integer part of `value` within the bounds; the lower one for NaN, which only a block has
/// whose scale is so small that it is stored as 0.
LK_INLINE int LK(clipped)(float value, int least, int most) {
  const float low = value > (float)least ? value : (float)least;
  return (int)(low < (float)most ? low : (float)most);
}

LK_EXACT_ATTRIBUTE static void LK(to_q8_0)(long blocks, const float *x, uint8_t *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 32, y += 34) {
    float largest = 0.0f;
    for (int i = 0; i < 32; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    const float d = largest / 127.0f, inverse = d == 0.0f ? 0.0f : 1.0f / d;
    LK(put_half)(d, y);
    for (int i = 0; i < 32; i++) {
      const float scaled = x[i] * inverse, size = fabsf(scaled), whole = floorf(size);
      const float twice = 2.0f * (size - whole);
      const float rounded = whole + floorf(twice);  // to nearest, away from zero
      y[2 + i] = (uint8_t)LK(clipped)(scaled < 0.0f ? -rounded : rounded, -127, 127);
    }
  }
}

/// The formats of four and five bits, without a minimum (symmetric about zero) or with one.
LK_EXACT_ATTRIBUTE LK_INLINE void LK(to_low_bits)(int levels, bool has_minimum, const float *x,
                                                  uint8_t *y) {
  LK_EXACT
  float largest = x[0], smallest = x[0], farthest = x[0];
  for (int i = 1; i < 32; i++) {
    largest = x[i] > largest ? x[i] : largest;
    smallest = x[i] < smallest ? x[i] : smallest;
    farthest = fabsf(x[i]) > fabsf(farthest) ? x[i] : farthest;
  }
  const float d = has_minimum ? (largest - smallest) / (float)(levels - 1)
                              : farthest / (float)(-levels / 2);
  const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
  const float half = has_minimum ? 0.5f : (float)(levels / 2) + 0.5f;
  LK(put_half)(d, y);
  if (has_minimum) LK(put_half)(smallest, y + 2);
  uint8_t *low = y + (has_minimum ? 4 : 2);
  uint32_t q[32], fifth = 0;
  for (int i = 0; i < 32; i++) {
    const float scaled = (has_minimum ? x[i] - smallest : x[i]) * inverse;
    const float shifted = scaled + half;
    q[i] = (uint32_t)LK(clipped)(shifted, 0, levels - 1);
    fifth |= q[i] >> 4 << i;
  }
  if (levels == 32) {
    memcpy(low, &fifth, sizeof fifth);
    low += sizeof fifth;
  }
  for (int i = 0; i < 16; i++) low[i] = (uint8_t)((q[i] & 15u) | (q[16 + i] & 15u) << 4);
}

static bool LK(quantize)(lk_block_format format, long blocks, const float *x, uint8_t *y) {
  const long bytes = lk_block_bytes(format);
  switch (format) {
    case LK_Q8_0: LK(to_q8_0)(blocks, x, y); return true;
    case LK_Q4_0:
      for (long b = 0; b < blocks; b++) LK(to_low_bits)(16, false, x + 32 * b, y + bytes * b);
      return true;
    case LK_Q4_1:
      for (long b = 0; b < blocks; b++) LK(to_low_bits)(16, true, x + 32 * b, y + bytes * b);
      return true;
    case LK_Q5_0:
      for (long b = 0; b < blocks; b++) LK(to_low_bits)(32, false, x + 32 * b, y + bytes * b);
      return true;
    case LK_Q5_1:
      for (long b = 0; b < blocks; b++) LK(to_low_bits)(32, true, x + 32 * b, y + bytes * b);
      return true;
    default: return false;
  }
}
