// Weights in blocks, as GGUF stores them: their numbers, and products of few rows with them.
//
// Every product and every sum is rounded by itself (LK_EXACT): the bits are gguf-py's.
#pragma once
#include "gemv.h"

LK_INLINE float LK(half_at)(const uint8_t *x) {
  uint16_t bits;
  memcpy(&bits, x, sizeof bits);
  return LK(widen_f16)(bits);
}

// Loops of so few iterations are unrolled before they could become vectors: the vectors are written
// out, 16 elements each.
typedef uint8_t LK(b16x_any) __attribute__((vector_size(16), aligned(1), may_alias));

/// 16 bytes as integers.
#define LK_BYTES(x) __builtin_convertvector(*(const LK(b16x_any) *)(x), LK(i16x))
/// y[0 ... 15] = d q, and d q + m, of integers q.
#define LK_STORE(y, d, q) *(LK(f16x_any) *)(y) = (d) * __builtin_convertvector(q, LK(f16x))
#define LK_STORE_SUM(y, d, q, m) \
  *(LK(f16x_any) *)(y) = (d) * __builtin_convertvector(q, LK(f16x)) + (m)

/// Bits first ... first + 15 of `bits`, each as bit 4 of an integer.
LK_INLINE void LK(fifth_bits)(uint32_t bits, int first, LK(i16x) *fifth) {
  const LK(u16x) place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  *fifth = (LK(i16x))(((bits >> first) >> place & 1u) << 4);
}

LK_EXACT_ATTRIBUTE static void LK(q4_0)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 18, y += 32) {
    const float d = LK(half_at)(x);
    const LK(i16x) q = LK_BYTES(x + 2);
    LK_STORE(y, d, (q & 15) - 8);
    LK_STORE(y + 16, d, (q >> 4) - 8);
  }
}

LK_EXACT_ATTRIBUTE static void LK(q4_1)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 20, y += 32) {
    const float d = LK(half_at)(x), m = LK(half_at)(x + 2);
    const LK(i16x) q = LK_BYTES(x + 4);
    LK_STORE_SUM(y, d, q & 15, m);
    LK_STORE_SUM(y + 16, d, q >> 4, m);
  }
}

LK_EXACT_ATTRIBUTE static void LK(q5_0)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 22, y += 32) {
    const float d = LK(half_at)(x);
    uint32_t bits;
    memcpy(&bits, x + 2, sizeof bits);
    LK(i16x) fifth;
    const LK(i16x) q = LK_BYTES(x + 6);
    LK(fifth_bits)(bits, 0, &fifth);
    LK_STORE(y, d, ((q & 15) | fifth) - 16);
    LK(fifth_bits)(bits, 16, &fifth);
    LK_STORE(y + 16, d, (q >> 4 | fifth) - 16);
  }
}

LK_EXACT_ATTRIBUTE static void LK(q5_1)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 24, y += 32) {
    const float d = LK(half_at)(x), m = LK(half_at)(x + 2);
    uint32_t bits;
    memcpy(&bits, x + 4, sizeof bits);
    LK(i16x) fifth;
    const LK(i16x) q = LK_BYTES(x + 8);
    LK(fifth_bits)(bits, 0, &fifth);
    LK_STORE_SUM(y, d, (q & 15) | fifth, m);
    LK(fifth_bits)(bits, 16, &fifth);
    LK_STORE_SUM(y + 16, d, q >> 4 | fifth, m);
  }
}

LK_EXACT_ATTRIBUTE static void LK(q8_0)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 34, y += 32) {
    const float d = LK(half_at)(x);
    // The sign is that of the byte: moved up to the integer's, and back.
    LK_STORE(y, d, (LK_BYTES(x + 2) << 24) >> 24);
    LK_STORE(y + 16, d, (LK_BYTES(x + 18) << 24) >> 24);
  }
}

/// The products of the two scales with the 6-bit scales and minima of a block of Q4_K or Q5_K.
LK_EXACT_ATTRIBUTE static void LK(k_scales)(const uint8_t *x, float *d, float *m) {
  LK_EXACT
  const float scale = LK(half_at)(x), minimum = LK(half_at)(x + 2);
  const uint8_t *s = x + 4;
  for (int j = 0; j < 4; j++) {
    d[j] = scale * (float)(s[j] & 63);
    m[j] = minimum * (float)(s[j + 4] & 63);
    d[j + 4] = scale * (float)((s[j + 8] & 15) | (s[j] >> 6) << 4);
    m[j + 4] = minimum * (float)(s[j + 8] >> 4 | (s[j + 4] >> 6) << 4);
  }
}

LK_EXACT_ATTRIBUTE static void LK(q4_k)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 144) {
    float d[8], m[8];
    LK(k_scales)(x, d, m);
    const uint8_t *low = x + 16;
    for (int j = 0; j < 8; j += 2, low += 32, y += 64)
      for (int i = 0; i < 32; i += 16) {
        const LK(i16x) q = LK_BYTES(low + i);
        LK_STORE_SUM(y + i, d[j], q & 15, -m[j]);
        LK_STORE_SUM(y + 32 + i, d[j + 1], q >> 4, -m[j + 1]);
      }
  }
}

LK_EXACT_ATTRIBUTE static void LK(q5_k)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 176) {
    float d[8], m[8];
    LK(k_scales)(x, d, m);
    const uint8_t *low = x + 48;
    for (int j = 0; j < 8; j += 2, low += 32, y += 64)
      for (int i = 0; i < 32; i += 16) {
        const LK(i16x) q = LK_BYTES(low + i), fifth = LK_BYTES(x + 16 + i) >> j;
        LK_STORE_SUM(y + i, d[j], (q & 15) | (fifth & 1) << 4, -m[j]);
        LK_STORE_SUM(y + 32 + i, d[j + 1], q >> 4 | (fifth & 2) << 3, -m[j + 1]);
      }
  }
}

LK_EXACT_ATTRIBUTE static void LK(q6_k)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 210) {
    const float scale = LK(half_at)(x + 208);
    const int8_t *scales = (const int8_t *)(x + 192);
    for (int part = 0; part < 2; part++, scales += 8, y += 128)
      for (int i = 0; i < 32; i += 16) {
        const uint8_t *low = x + 64 * part + i;
        const LK(i16x) first = LK_BYTES(low), second = LK_BYTES(low + 32);
        const LK(i16x) high = LK_BYTES(x + 128 + 32 * part + i);
        const int8_t *s = scales + i / 16;
        LK_STORE(y + i, scale * (float)s[0], ((first & 15) | (high & 3) << 4) - 32);
        LK_STORE(y + 32 + i, scale * (float)s[2], ((second & 15) | (high & 12) << 2) - 32);
        LK_STORE(y + 64 + i, scale * (float)s[4], (first >> 4 | (high & 48)) - 32);
        LK_STORE(y + 96 + i, scale * (float)s[6], (second >> 4 | (high & 192) >> 2) - 32);
      }
  }
}

/// Half the power of two that an exponent stands for: the numbers of four bits are counted in halves.
LK_INLINE float LK(half_power)(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// Makes integers, in halves, of sixteen codes of a sign, two bits of exponent and one of mantissa.
LK_INLINE void LK(fp4)(LK(i16x) *code) {
  const LK(i16x) size = *code & 7, sign = -(*code >> 3 & 1), isLarge = size > 1;
  // Up to 1 the code is the number; beyond, the mantissa has a leading one.
  const LK(i16x) large = (2 | (size & 1)) << (((size >> 1) - 1) & isLarge);
  const LK(i16x) value = (large & isLarge) | (size & ~isLarge);
  *code = (value ^ sign) - sign;
}

LK_EXACT_ATTRIBUTE static void LK(mxfp4)(long blocks, const uint8_t *x, float *y) {
  LK_EXACT
  for (; blocks > 0; blocks--, x += 17, y += 32) {
    const float d = LK(half_power)(x[0]);
    const LK(i16x) q = LK_BYTES(x + 1);
    LK(i16x) low = q & 15, high = q >> 4;
    LK(fp4)(&low);
    LK(fp4)(&high);
    LK_STORE(y, d, low);
    LK_STORE(y + 16, d, high);
  }
}

static void LK(dequantize)(lk_block_format format, long blocks, const uint8_t *x, float *y) {
  switch (format) {
    case LK_Q4_0: LK(q4_0)(blocks, x, y); break;
    case LK_Q4_1: LK(q4_1)(blocks, x, y); break;
    case LK_Q5_0: LK(q5_0)(blocks, x, y); break;
    case LK_Q5_1: LK(q5_1)(blocks, x, y); break;
    case LK_Q8_0: LK(q8_0)(blocks, x, y); break;
    case LK_Q4_K: LK(q4_k)(blocks, x, y); break;
    case LK_Q5_K: LK(q5_k)(blocks, x, y); break;
    case LK_Q6_K: LK(q6_k)(blocks, x, y); break;
    case LK_MXFP4: LK(mxfp4)(blocks, x, y); break;
  }
}

static long LK(first_nonfinite_block)(lk_block_format format, long blocks, const uint8_t *x) {
  const long bytes = lk_block_bytes(format), first = format == LK_Q6_K ? 208 : 0;
  const bool has_one = format == LK_Q4_0 || format == LK_Q5_0 || format == LK_Q8_0
                       || format == LK_Q6_K;
  const long second = has_one ? first : 2;
  if (format == LK_MXFP4) {
    for (long b = 0; b < blocks; b++)
      if (x[b * bytes] > lk_largest_exponent) return b;
    return -1;
  }
  for (long b = 0; b < blocks; b++, x += bytes) {
    uint16_t one, two;
    memcpy(&one, x + first, sizeof one);
    memcpy(&two, x + second, sizeof two);
    if ((one & 0x7c00) == 0x7c00 || (two & 0x7c00) == 0x7c00) return b;
  }
  return -1;
}

/// A stretch of a row's numbers goes into the first-level cache and is used there for all rows of x,
/// which leaves the sums those of gemv_f32.
static void LK(gemv_blocks)(lk_block_format format, long rows, long n, long k, const float *x,
                            const uint8_t *w, float *y, long ldy, bool accumulate) {
  const long size = lk_block_elements(format), bytes = lk_block_bytes(format);
  float wide[LK(stretch)];
  for (long j = 0; j < n; j++) {
    for (long first = 0; first < rows; first += 8) {
      const long count = lk_smaller(8, rows - first);
      float sums[8] = {0};
      const uint8_t *block = w + j * (k / size) * bytes;
      for (long base = 0; base < k; base += LK(stretch)) {
        const long length = lk_smaller(LK(stretch), k - base);
        LK(dequantize)(format, length / size, block, wide);
        block += length / size * bytes;
        const float *xs = x + first * k + base;
        long r = 0;
        for (; r + 3 < count || r + 2 == count; r += 2)
          LK(gemv_tile_f32)(2, length, xs + r * k, k, wide, wide, sums + r);
        if (r + 3 == count)
          LK(gemv_tile_f32)(3, length, xs + r * k, k, wide, wide, sums + r);
        else if (r < count)
          LK(gemv_tile_f32)(1, length, xs + r * k, k, wide, wide, sums + r);
      }
      for (long r = 0; r < count; r++) {
        float *to = y + (first + r) * ldy + j;
        *to = accumulate ? *to + sums[r] : sums[r];
      }
    }
  }
}
