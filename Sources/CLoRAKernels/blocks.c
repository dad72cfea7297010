// The sizes of the formats that hold weights in blocks.
#include <math.h>
#include <string.h>

#include "internal.h"

long lk_block_elements(lk_block_format format) {
  switch (format) {
    case LK_Q4_0:
    case LK_Q4_1:
    case LK_Q5_0:
    case LK_Q5_1:
    case LK_Q8_0:
    case LK_MXFP4: return 32;
    case LK_Q4_K:
    case LK_Q5_K:
    case LK_Q6_K: return 256;
  }
  return 0;
}

long lk_block_bytes(lk_block_format format) {
  switch (format) {
    case LK_Q4_0: return 18;  // scale, 16 bytes of two each
    case LK_Q4_1: return 20;  // scale, minimum, 16 bytes
    case LK_Q5_0: return 22;  // scale, 32 fifth bits, 16 bytes
    case LK_Q5_1: return 24;  // scale, minimum, 32 fifth bits, 16 bytes
    case LK_Q8_0: return 34;  // scale, 32 bytes
    case LK_Q4_K: return 144;  // scale of scales, of minima, 12 bytes of those, 128 bytes
    case LK_Q5_K: return 176;  // the same with 32 bytes of fifth bits before the last
    case LK_MXFP4: return 17;  // exponent, 16 bytes of two each
    case LK_Q6_K: return 210;  // 128 bytes of low bits, 64 of high ones, 16 scales, their scale
  }
  return 0;
}

void lk_mxfp4_to_bf16(long blocks, const uint8_t *x, const uint8_t *scales, uint16_t *y) {
  // Sign, two bits of exponent, one of mantissa.
  static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                   -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
  for (long b = 0; b < blocks; b++) {
    uint16_t numbers[16];
    for (int i = 0; i < 16; i++) {
      // Few bits: the upper half of a float32 holds them all.
      const float v = scales[b] == 255 ? NAN : ldexpf(values[i], (int)scales[b] - 127);
      uint32_t bits;
      memcpy(&bits, &v, sizeof bits);
      numbers[i] = (uint16_t)(bits >> 16);
    }
    for (int i = 0; i < 16; i++) {
      y[32 * b + 2 * i] = numbers[x[16 * b + i] & 15];
      y[32 * b + 2 * i + 1] = numbers[x[16 * b + i] >> 4];
    }
  }
}
