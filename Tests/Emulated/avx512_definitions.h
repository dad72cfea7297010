// The AVX-512 instructions that the kernels name, written out as Intel's manual defines them, for
// running the 16-lane code on a CPU without them. Included instead of the compiler's header.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef float defined_floats __attribute__((vector_size(64)));
typedef uint16_t defined_halves __attribute__((vector_size(64)));
#define __m512 defined_floats
#define __m512i defined_halves
#define __m512bh defined_halves

static inline __attribute__((always_inline)) uint16_t defined_narrow(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline __attribute__((always_inline)) float defined_wide(uint16_t x) {
  const uint32_t bits = (uint32_t)x << 16;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}

#define DEFINED static inline __attribute__((always_inline, unused))

// VCVTNE2PS2BF16: the second operand becomes the low half.
DEFINED defined_halves defined_cvtne2ps_pbh(defined_floats a, defined_floats b) {
  defined_halves r = {0};
  for (int j = 0; j < 32; j++) r[j] = defined_narrow(j < 16 ? b[j] : a[j - 16]);
  return r;
}

// VPERMW
DEFINED defined_halves defined_permutexvar_epi16(defined_halves index, defined_halves a) {
  defined_halves r = {0};
  for (int j = 0; j < 32; j++) r[j] = a[index[j] & 31];
  return r;
}

// VDPBF16PS: the odd elements first.
DEFINED defined_floats defined_dpbf16_ps(defined_floats sum, defined_halves a, defined_halves b) {
  for (int i = 0; i < 16; i++) {
    sum[i] += defined_wide(a[2 * i + 1]) * defined_wide(b[2 * i + 1]);
    sum[i] += defined_wide(a[2 * i]) * defined_wide(b[2 * i]);
  }
  return sum;
}

DEFINED defined_halves defined_set1_epi32(int x) {
  defined_halves r = {0};
  for (int i = 0; i < 32; i++) r[i] = (uint16_t)(i & 1 ? (uint32_t)x >> 16 : (uint32_t)x);
  return r;
}

DEFINED defined_floats defined_loadu_ps(const float *x) {
  defined_floats r;
  memcpy(&r, x, sizeof r);
  return r;
}

// The elements are named from the last to the first.
#define defined_set_epi16(e31, e30, e29, e28, e27, e26, e25, e24, e23, e22, e21, e20, e19, e18,  \
                          e17, e16, e15, e14, e13, e12, e11, e10, e9, e8, e7, e6, e5, e4, e3,    \
                          e2, e1, e0)                                                            \
  (defined_halves) {                                                                             \
    e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17, e18, e19,    \
        e20, e21, e22, e23, e24, e25, e26, e27, e28, e29, e30, e31                               \
  }

#define _mm512_cvtne2ps_pbh defined_cvtne2ps_pbh
#define _mm512_permutexvar_epi16 defined_permutexvar_epi16
#define _mm512_dpbf16_ps defined_dpbf16_ps
#define _mm512_set_epi16 defined_set_epi16
#define _mm512_set1_epi32 defined_set1_epi32
#define _mm512_loadu_ps defined_loadu_ps
