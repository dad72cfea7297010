// y = x Wᵀ for a few rows of x: the weights are read once, at memory speed.
//
// Each result has 16 lanes of its own, folded at the end of each stretch of k. Tiles only change
// how many results share a load, never the order of a sum: a result has the same bits however the
// rows and columns are divided among calls.

enum { LK(stretch) = 4096 };

// 16 weights, widened.
LK_INLINE void LK(load_f32)(const float *w, LK(f16x) *v) { *v = *(const LK(f16x_any) *)w; }

LK_INLINE void LK(load_bf16)(const uint16_t *w, LK(f16x) *v) {
  *v = (LK(f16x))(__builtin_convertvector(*(const LK(h16x_any) *)w, LK(u16x)) << 16);
}

LK_INLINE float LK(one_f32)(const float *w) { return *w; }
LK_INLINE float LK(one_bf16)(const uint16_t *w) { return lk_float((uint32_t)*w << 16); }

// sums[r][j] += the products over one stretch, for `tile_rows` rows of x and `tile_cols` of w. Both
// are constants where this is inlined: the loops over them vanish, the lanes stay in registers.
#define LK_GEMV_TILE(type)                                                                        \
  LK_INLINE void LK(gemv_tile_##type)(int tile_rows, int tile_cols, long k, const float *x,       \
                                      long ldx, const LK(weight_##type) *w, long ldw,             \
                                      float *sums) {                                              \
    LK(f16x) lanes[4] = {{0}, {0}, {0}, {0}};                                                     \
    long i = 0;                                                                                   \
    for (; i + 16 <= k; i += 16)                                                                  \
      for (int j = 0; j < tile_cols; j++) {                                                       \
        LK(f16x) wide;                                                                            \
        LK(load_##type)(w + j * ldw + i, &wide);                                                  \
        for (int r = 0; r < tile_rows; r++)                                                       \
          lanes[r * tile_cols + j] += *(const LK(f16x_any) *)(x + r * ldx + i) * wide;            \
      }                                                                                           \
    for (int r = 0; r < tile_rows; r++)                                                           \
      for (int j = 0; j < tile_cols; j++) {                                                       \
        float rest = 0.0f;                                                                        \
        for (long t = i; t < k; t++) rest += x[r * ldx + t] * LK(one_##type)(w + j * ldw + t);    \
        sums[r * tile_cols + j] += LK(fold)(&lanes[r * tile_cols + j]) + rest;                    \
      }                                                                                           \
  }                                                                                               \
                                                                                                  \
  LK_INLINE void LK(gemv_block_##type)(int tile_rows, int tile_cols, long k, const float *x,      \
                                       const LK(weight_##type) *w, float *y, long ldy,            \
                                       bool accumulate) {                                         \
    float sums[4] = {0};                                                                          \
    for (long base = 0; base < k; base += LK(stretch))                                            \
      LK(gemv_tile_##type)(tile_rows, tile_cols, lk_smaller(LK(stretch), k - base), x + base,     \
                           k, w + base, k, sums);                                                 \
    for (int r = 0; r < tile_rows; r++)                                                           \
      for (int j = 0; j < tile_cols; j++) {                                                       \
        float *to = y + r * ldy + j;                                                              \
        *to = accumulate ? *to + sums[r * tile_cols + j] : sums[r * tile_cols + j];               \
      }                                                                                           \
  }                                                                                               \
                                                                                                  \
  /* tile_rows rows of x against all n rows of w, tile_cols at a time. */                         \
  LK_INLINE void LK(gemv_rows_##type)(int tile_rows, int tile_cols, long n, long k,               \
                                      const float *x, const LK(weight_##type) *w, float *y,       \
                                      long ldy, bool accumulate) {                                \
    long j = 0;                                                                                   \
    for (; j + tile_cols <= n; j += tile_cols)                                                    \
      LK(gemv_block_##type)(tile_rows, tile_cols, k, x, w + j * k, y + j, ldy, accumulate);       \
    for (; j < n; j++)                                                                            \
      LK(gemv_block_##type)(tile_rows, 1, k, x, w + j * k, y + j, ldy, accumulate);               \
  }                                                                                               \
                                                                                                  \
  static void LK(gemv_##type)(long rows, long n, long k, const float *x,                          \
                              const LK(weight_##type) *w, float *y, long ldy,                     \
                              bool accumulate) {                                                  \
    long r = 0;                                                                                   \
    for (; r + 4 <= rows; r += 4)                                                                 \
      LK(gemv_rows_##type)(4, 1, n, k, x + r * k, w, y + r * ldy, ldy, accumulate);               \
    if (r + 2 <= rows) {                                                                          \
      LK(gemv_rows_##type)(2, 2, n, k, x + r * k, w, y + r * ldy, ldy, accumulate);               \
      r += 2;                                                                                     \
    }                                                                                             \
    if (r < rows)                                                                                 \
      LK(gemv_rows_##type)(1, 4, n, k, x + r * k, w, y + r * ldy, ldy, accumulate);               \
  }

typedef float LK(weight_f32);
typedef uint16_t LK(weight_bf16);
LK_GEMV_TILE(f32)
LK_GEMV_TILE(bf16)

// Float16 has no cheap widening everywhere, so a stretch of a weight row is widened into the
// first-level cache once and then used for all rows of x.
static void LK(gemv_f16)(long rows, long n, long k, const float *x, const uint16_t *w, float *y,
                         long ldy, bool accumulate) {
  float wide[LK(stretch)];
  for (long j = 0; j < n; j++) {
    if (!accumulate)
      for (long r = 0; r < rows; r++) y[r * ldy + j] = 0.0f;
    for (long base = 0; base < k; base += LK(stretch)) {
      const long count = lk_smaller(LK(stretch), k - base);
      LK(f32_from_f16)(count, w + j * k + base, wide);
      for (long r = 0; r < rows; r++)
        LK(gemv_tile_f32)(1, 1, count, x + r * k + base, 0, wide, 0, y + r * ldy + j);
    }
  }
}
