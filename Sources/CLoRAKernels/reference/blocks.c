// Weights in blocks: each element by itself, from the definition of its format.
#include "reference.h"

static float half_at(const uint8_t *x) {
  uint16_t bits;
  float value;
  memcpy(&bits, x, sizeof bits);
  lk_reference_f32_from_f16(1, &bits, &value);
  return value;
}

/// Bit `i` of the bytes from `x` on.
static int bit(const uint8_t *x, long i) { return x[i / 8] >> i % 8 & 1; }

/// The 6-bit scale and minimum of sub-block `j`, 0 ... 7, of the formats Q4_K and Q5_K.
static void scale_and_minimum(const uint8_t *s, long j, float *scale, float *minimum) {
  if (j < 4) {
    *scale = (float)(s[j] & 63);
    *minimum = (float)(s[j + 4] & 63);
  } else {
    *scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
    *minimum = (float)(s[j + 4] >> 4 | (s[j] >> 6) << 4);
  }
}

LK_EXACT_ATTRIBUTE static float element(lk_block_format format, const uint8_t *x, long i) {
  LK_EXACT
  const long low = i % 16, shift = i < 16 ? 0 : 4;  // where an element of 32 has its four bits
  switch (format) {
    case LK_Q4_0: return half_at(x) * (float)((x[2 + low] >> shift & 15) - 8);
    case LK_Q4_1: {
      const float product = half_at(x) * (float)(x[4 + low] >> shift & 15);
      return product + half_at(x + 2);
    }
    case LK_Q5_0:
      return half_at(x) * (float)(((x[6 + low] >> shift & 15) | bit(x + 2, i) << 4) - 16);
    case LK_Q5_1: {
      const float product =
          half_at(x) * (float)((x[8 + low] >> shift & 15) | bit(x + 4, i) << 4);
      return product + half_at(x + 2);
    }
    case LK_Q8_0: return half_at(x) * (float)(int8_t)x[2 + i];
    case LK_MXFP4: {
      static const float halves[8] = {0, 1, 2, 3, 4, 6, 8, 12};
      const int code = x[1 + low] >> shift & 15;
      return ldexpf(code & 8 ? 0.0f - halves[code & 7] : halves[code], x[0] - 128);
    }
    case LK_Q4_K:
    case LK_Q5_K: {
      float scale, minimum;
      scale_and_minimum(x + 4, i / 32, &scale, &minimum);
      const float d = half_at(x) * scale, m = half_at(x + 2) * minimum;
      const uint8_t *low_bits = x + (format == LK_Q4_K ? 16 : 48) + i / 64 * 32;
      int q = low_bits[i % 32] >> (i % 64 < 32 ? 0 : 4) & 15;
      if (format == LK_Q5_K) q |= (x[16 + i % 32] >> i / 32 & 1) << 4;
      const float product = d * (float)q;
      return product - m;
    }
    case LK_Q6_K: {
      const long part = i / 128, group = i % 128 / 32;  // of the halves, and of four groups
      const int low_bits = x[part * 64 + i % 64] >> (group < 2 ? 0 : 4) & 15;
      const int high_bits = x[128 + part * 32 + i % 32] >> 2 * group & 3;
      const float d = half_at(x + 208) * (float)(int8_t)x[192 + i / 16];
      return d * (float)((low_bits | high_bits << 4) - 32);
    }
  }
  return 0;
}

void lk_reference_dequantize(lk_block_format format, long blocks, const uint8_t *x, float *y) {
  const long size = lk_block_elements(format), bytes = lk_block_bytes(format);
  for (long b = 0; b < blocks; b++)
    for (long i = 0; i < size; i++) y[b * size + i] = element(format, x + b * bytes, i);
}

static void put_half(float value, uint8_t *y) {
  uint16_t bits;
  lk_reference_f16_from_f32(1, &value, &bits);
  memcpy(y, &bits, sizeof bits);
}

static int clipped(float value, int least, int most) {
  if (!(value > (float)least)) return least;  // NaN too: of a block whose scale becomes 0
  return value < (float)most ? (int)value : most;
}

LK_EXACT_ATTRIBUTE static void quantize_block(lk_block_format format, const float *x, uint8_t *y) {
  LK_EXACT
  float largest = x[0], smallest = x[0], farthest = x[0];
  for (int i = 1; i < 32; i++) {
    if (x[i] > largest) largest = x[i];
    if (x[i] < smallest) smallest = x[i];
    if (fabsf(x[i]) > fabsf(farthest)) farthest = x[i];
  }
  const bool has_minimum = format == LK_Q4_1 || format == LK_Q5_1;
  const bool has_fifth_bit = format == LK_Q5_0 || format == LK_Q5_1;
  const int levels = has_fifth_bit ? 32 : 16;
  if (format == LK_Q8_0) {
    const float d = fabsf(farthest) / 127, inverse = d == 0 ? 0 : 1 / d;
    put_half(d, y);
    for (int i = 0; i < 32; i++) {
      const float scaled = x[i] * inverse, size = floorf(fabsf(scaled));
      const float twice = 2 * (fabsf(scaled) - size);
      const float rounded = size + floorf(twice);  // to nearest, away from zero
      y[2 + i] = (uint8_t)clipped(scaled < 0 ? -rounded : rounded, -127, 127);
    }
    return;
  }
  const float d = has_minimum ? (largest - smallest) / (float)(levels - 1)
                              : farthest / (float)(-levels / 2);
  const float inverse = d == 0 ? 0 : 1 / d, offset = has_minimum ? smallest : 0;
  put_half(d, y);
  if (has_minimum) put_half(smallest, y + 2);
  uint8_t *fifth = y + (has_minimum ? 4 : 2), *low = fifth + (has_fifth_bit ? 4 : 0);
  if (has_fifth_bit) memset(fifth, 0, 4);
  memset(low, 0, 16);
  for (int i = 0; i < 32; i++) {
    const float scaled = (has_minimum ? x[i] - offset : x[i]) * inverse;
    const float shifted = scaled + (has_minimum ? 0.5f : (float)(levels / 2) + 0.5f);
    const int q = clipped(shifted, 0, levels - 1);
    low[i % 16] |= (uint8_t)((q & 15) << (i < 16 ? 0 : 4));
    if (has_fifth_bit) fifth[i / 8] |= (uint8_t)(q >> 4 << i % 8);
  }
}

bool lk_reference_quantize(lk_block_format format, long blocks, const float *x, uint8_t *y) {
  if (lk_block_elements(format) != 32 || format == LK_MXFP4) return false;
  for (long b = 0; b < blocks; b++)
    quantize_block(format, x + 32 * b, y + lk_block_bytes(format) * b);
  return true;
}

long lk_reference_first_nonfinite_block(lk_block_format format, long blocks, const uint8_t *x) {
  const long bytes = lk_block_bytes(format), first = format == LK_Q6_K ? 208 : 0;
  const bool has_two = format != LK_Q4_0 && format != LK_Q5_0 && format != LK_Q8_0
                       && format != LK_Q6_K;
  if (format == LK_MXFP4) {
    for (long b = 0; b < blocks; b++)
      if (x[b * bytes] > lk_largest_exponent) return b;
    return -1;
  }
  for (long b = 0; b < blocks; b++)
    if (!isfinite(half_at(x + b * bytes + first))
        || (has_two && !isfinite(half_at(x + b * bytes + 2))))
      return b;
  return -1;
}

void lk_reference_gemv_blocks(lk_block_format format, long rows, long n, long k, const float *x,
                              const uint8_t *w, float *y, long ldy, bool accumulate) {
  const long size = lk_block_elements(format), bytes = lk_block_bytes(format);
  for (long r = 0; r < rows; r++)
    for (long j = 0; j < n; j++) {
      double total = accumulate ? y[r * ldy + j] : 0;
      for (long i = 0; i < k; i++) {
        const uint8_t *block = w + (j * (k / size) + i / size) * bytes;
        total += (double)x[r * k + i] * element(format, block, i % size);
      }
      y[r * ldy + j] = (float)total;
    }
}
