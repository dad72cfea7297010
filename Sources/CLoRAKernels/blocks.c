// The sizes of the formats that hold weights in blocks.
#include "internal.h"

long lk_block_elements(lk_block_format format) {
  switch (format) {
    case LK_Q4_0:
    case LK_Q4_1:
    case LK_Q5_0:
    case LK_Q5_1:
    case LK_Q8_0: return 32;
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
    case LK_Q6_K: return 210;  // 128 bytes of low bits, 64 of high ones, 16 scales, their scale
  }
  return 0;
}
