// Products of packed panels: the part of a matrix product where the time goes.
//
// A tile of c, up to LK_TILE_ROWS rows by LK_TILE_VECTORS vectors, stays in registers while the
// depth of one chunk runs by. A band of weights, a panel or a few, is packed right before it is used
// for all rows, so that it is read from the first-level cache; the rows' panels come from the second.
// Each element of c has one accumulator that sums in order: no bit depends on how rows and columns
// are divided.

/// acc += a b over one step: of floats, or of pairs of bfloat16.
LK_INLINE LK(vector) LK(step)(const bool rounds, LK(vector) acc, uint32_t a, LK(words) b) {
  if (!rounds) return acc + lk_float(a) * (LK(vector))b;
#if LK_HAS_BF16_DOT
  return (LK(vector))_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32((int)a),
                                      (__m512bh)b);
#else
  acc += lk_float(a & 0xffff0000u) * (LK(vector))(b & 0xffff0000u);
  return acc + lk_float(a << 16) * (LK(vector))(b << 16);
#endif
}

#define LK_TILE_PARAMETERS                                                                   \
  long steps, const uint32_t *a, const uint32_t *b, long tail, const float *tail_a,          \
      const float *tail_b, float alpha, float beta, float *c, long ldc, long columns
typedef void LK(tile_kernel)(LK_TILE_PARAMETERS);

// `height` and `vectors` are constants where this is inlined: the accumulators are registers.
LK_INLINE void LK(tile)(const int height, const int vectors, const bool rounds,
                        LK_TILE_PARAMETERS) {
  LK(vector) acc[LK_TILE_ROWS][LK_TILE_VECTORS];
  _Pragma("clang loop unroll(full)") for (int i = 0; i < height; i++) {
    __builtin_prefetch(c + i * ldc, 1);
    if (vectors * LK_LANES > 16) __builtin_prefetch(c + i * ldc + 16, 1);
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++)
      acc[i][v] = (LK(vector)){0};
  }
  for (long s = 0; s < steps; s++) {
    LK(words) right[LK_TILE_VECTORS];
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++)
      right[v] = *(const LK(words) *)(b + v * LK_LANES);
    _Pragma("clang loop unroll(full)") for (int i = 0; i < height; i++)
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++)
        acc[i][v] = LK(step)(rounds, acc[i][v], a[i], right[v]);
    a += height;
    b += vectors * LK_LANES;
  }
  for (long s = 0; s < tail; s++) {
    _Pragma("clang loop unroll(full)") for (int i = 0; i < height; i++)
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++)
        acc[i][v] += tail_a[i] * *(const LK(vector) *)(tail_b + v * LK_LANES);
    tail_a += height;
    tail_b += vectors * LK_LANES;
  }
  if (columns == vectors * LK_LANES) {
    _Pragma("clang loop unroll(full)") for (int i = 0; i < height; i++)
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {
        LK(vector_any) *to = (LK(vector_any) *)(c + i * ldc + v * LK_LANES);
        if (beta == 0)
          *to = alpha * acc[i][v];
        else
          *to = beta * *to + alpha * acc[i][v];
      }
    return;
  }
  _Pragma("clang loop unroll(full)") for (int i = 0; i < height; i++) {
    float row[LK_TILE_VECTORS * LK_LANES];
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++)
      *(LK(vector_any) *)(row + v * LK_LANES) = acc[i][v];
    for (long j = 0; j < columns; j++) {
      float *to = c + i * ldc + j;
      *to = beta == 0 ? alpha * row[j] : beta * *to + alpha * row[j];
    }
  }
}

#define LK_TILE_ARGUMENTS \
  steps, a, b, tail, tail_a, tail_b, alpha, beta, c, ldc, columns
#define LK_TILE_KERNELS(height)                                                      \
  static void LK(tile_full_##height)(LK_TILE_PARAMETERS) {                           \
    LK(tile)(height, LK_TILE_VECTORS, false, LK_TILE_ARGUMENTS);                     \
  }                                                                                  \
  static void LK(tile_slim_##height)(LK_TILE_PARAMETERS) {                           \
    LK(tile)(height, 1, false, LK_TILE_ARGUMENTS);                                   \
  }                                                                                  \
  static void LK(tile_full_pairs_##height)(LK_TILE_PARAMETERS) {                     \
    LK(tile)(height, LK_TILE_VECTORS, true, LK_TILE_ARGUMENTS);                      \
  }                                                                                  \
  static void LK(tile_slim_pairs_##height)(LK_TILE_PARAMETERS) {                     \
    LK(tile)(height, 1, true, LK_TILE_ARGUMENTS);                                    \
  }
LK_HEIGHTS(LK_TILE_KERNELS)

// By whether it rounds, whether it is one vector wide, and its height.
static LK(tile_kernel) *const LK(tile_kernels)[2][2][LK_TILE_ROWS] = {
#define LK_NAME(height) LK(tile_full_##height),
    {{LK_HEIGHTS(LK_NAME)},
#undef LK_NAME
#define LK_NAME(height) LK(tile_slim_##height),
     {LK_HEIGHTS(LK_NAME)}},
#undef LK_NAME
#define LK_NAME(height) LK(tile_full_pairs_##height),
    {{LK_HEIGHTS(LK_NAME)},
#undef LK_NAME
#define LK_NAME(height) LK(tile_slim_pairs_##height),
     {LK_HEIGHTS(LK_NAME)}},
#undef LK_NAME
};

static lk_gemm_tile LK(gemm_shape)(void) {
  return (lk_gemm_tile){LK_TILE_ROWS, LK_TILE_VECTORS * LK_LANES, LK_BAND, LK_TILE_DEPTH,
                        LK_HAS_BF16_DOT + 0};
}

// Panels of rows have heights that differ by at most one: none is left with a single row.
LK_INLINE long LK(panel_row)(long m, long panel) {
  const long panels = (m + LK_TILE_ROWS - 1) / LK_TILE_ROWS;
  return panel * m / panels;
}

static void LK(gemm_pack)(const lk_gemm *g, long first_panel, long end_panel) {
  const long steps = g->rounds ? (g->depth + 1) / 2 : g->depth;
  for (long panel = first_panel; panel < end_panel; panel++) {
    const long row = LK(panel_row)(g->m, panel), end = LK(panel_row)(g->m, panel + 1);
    LK(ahead) next = LK(look_ahead)(&g->a, end, lk_smaller(LK_TILE_ROWS, g->m - end), g->first,
                                    g->depth);
    LK(prefetch)(&next, next.lines);
    LK(pack_panel)(g->rounds, &g->a, g->m, row, end - row, g->first, g->first + g->depth, end - row,
                   g->packed + row * steps);
  }
}

static void LK(gemm_pack_tails)(const lk_gemm *g, long first_panel, long end_panel) {
  for (long panel = first_panel; panel < end_panel; panel++) {
    const long row = LK(panel_row)(g->m, panel);
    const long height = LK(panel_row)(g->m, panel + 1) - row;
    uint32_t *tail = (uint32_t *)g->packed_tail + row * g->tail_depth;
    for (long t = 0; t < g->tail_count; t++) {
      LK(pack_panel)(false, &g->tails[t].a, g->m, row, height, 0, g->tails[t].depth, height, tail);
      tail += height * g->tails[t].depth;
    }
  }
}

static void LK(gemm_multiply)(const lk_gemm *g, long first_panel, long end_panel, long first_column,
                              long end_column) {
  enum { full = LK_TILE_VECTORS * LK_LANES };
  uint32_t right[LK_BAND * LK_TILE_DEPTH] __attribute__((aligned(64)));
  float tail_right[full * LK_GEMM_TAIL] __attribute__((aligned(64)));
  const long steps = g->rounds ? (g->depth + 1) / 2 : g->depth;
  for (long band = first_column; band < end_column; band += LK_BAND) {
    const long end = lk_smaller(band + LK_BAND, end_column);
    LK(pack_band)(g->rounds, &g->b, g->n, band, end - band, g->first, g->first + g->depth, right);
    // Each tile asks for some lines of what is packed next: for all of them in the first quarter of
    // the tiles, so that the last have time to arrive, but for few at once where tiles are few.
    LK(ahead) next = LK(look_ahead)(&g->b, end, lk_smaller(LK_BAND, g->n - end), g->first,
                                    g->depth);
    const long tiles = (end_panel - first_panel) * ((end - band + full - 1) / full);
    const long even = tiles > 0 ? (next.lines + tiles - 1) / tiles : 0;
    const long share = lk_larger(even, lk_smaller(4 * even, 8));
    for (long j = band; j < end; j += full) {
      const long columns = lk_smaller(full, end - j);
      const bool slim = columns <= LK_LANES;
      uint32_t *tail = (uint32_t *)tail_right;
      for (long t = 0; t < g->tail_count; t++) {
        const long width = slim ? LK_LANES : full;
        LK(pack_panel)(false, &g->tails[t].b, g->n, j, columns, 0, g->tails[t].depth, width, tail);
        tail += width * g->tails[t].depth;
      }
      LK(tile_kernel) *const *kernels = LK(tile_kernels)[g->rounds][slim];
      for (long panel = first_panel; panel < end_panel; panel++) {
        const long row = LK(panel_row)(g->m, panel);
        const long height = LK(panel_row)(g->m, panel + 1) - row;
        LK(prefetch)(&next, share);
        kernels[height - 1](steps, g->packed + row * steps, right + (j - band) * steps,
                            g->tail_depth, g->packed_tail + row * g->tail_depth, tail_right,
                            g->alpha, g->beta, g->c + row * g->ldc + j, g->ldc, columns);
      }
    }
  }
}
