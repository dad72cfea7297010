// Products of packed panels: the part of a matrix product where the time goes.
//
// A tile of c, up to LK_TILE_ROWS rows by LK_TILE_VECTORS vectors, stays in registers while the
// depth of one chunk runs by. A band of weights, a panel or a few, is packed right before it is used
// for all rows, so that it is read from the first-level cache; the rows' panels come from the second,
// and so does the band's part of c when the next of the chunks that are packed is added to it.
// Each element of c has one accumulator a chunk that sums in order: no bit depends on how rows and
// columns are divided, nor on how many chunks are packed at a time.
#pragma once
#include "gemm_ahead.h"
#include "gemm_pack.h"

/// acc += a b over one step: of floats, or of pairs of bfloat16.
///
/// With AVX-512 a multiply-add can broadcast its factor from memory (`embeds`). Left to itself the
/// compiler broadcasts into a register, because two vectors use it: an instruction more a row, free
/// until another program runs on the core's second hardware thread, and 10 % of the time then.
LK_INLINE LK(vector) LK(step)(const bool rounds, const bool embeds, LK(vector) acc,
                              const uint32_t *a, LK(words) b) {
#if LK_HAS_EMBEDDED_BROADCAST
  if (!rounds && embeds) {
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
    return acc;
  }
#endif
  (void)embeds;
  if (!rounds) return acc + lk_float(*a) * (LK(vector))b;
#if LK_HAS_BF16_DOT
  return (LK(vector))_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32((int)*a),
                                      (__m512bh)b);
#else
  acc += lk_float(*a & 0xffff0000u) * (LK(vector))(b & 0xffff0000u);
  return acc + lk_float(*a << 16) * (LK(vector))(b << 16);
#endif
}

/// The rows of a tile whose factor is broadcast by the multiply-add: as many as leave the loads,
/// two a cycle, below the multiply-adds.
#define LK_EMBEDDED_ROWS(height) ((height) * 2 / 3)

/// One step of a tile.
LK_INLINE void LK(tile_step)(const int height, const int vectors, const bool rounds,
                             LK(vector) acc[LK_TILE_ROWS][LK_TILE_VECTORS], const uint32_t *a,
                             const uint32_t *b) {
  LK(words) right[LK_TILE_VECTORS];
  LK_UNROLL
  for (int v = 0; v < vectors; v++) right[v] = *(const LK(words) *)(b + v * LK_LANES);
  LK_UNROLL
  for (int i = 0; i < height; i++) {
    LK_UNROLL
    for (int v = 0; v < vectors; v++)
      acc[i][v] = LK(step)(rounds, i < LK_EMBEDDED_ROWS(height), acc[i][v], a + i, right[v]);
  }
}

#define LK_TILE_PARAMETERS                                                                   \
  long steps, const uint32_t *a, const uint32_t *b, long tail, const float *tail_a,          \
      const float *tail_b, float alpha, float beta, float *c, long ldc, long columns,        \
      LK(ahead) *next, long share
typedef void LK(tile_kernel)(LK_TILE_PARAMETERS);

// `height` and `vectors` are constants where this is inlined: the accumulators are registers.
LK_INLINE void LK(tile)(const int height, const int vectors, const bool rounds,
                        LK_TILE_PARAMETERS) {
  LK(vector) acc[LK_TILE_ROWS][LK_TILE_VECTORS];
  LK_UNROLL
  for (int i = 0; i < height; i++) {
    LK_UNROLL
    for (int v = 0; v < vectors; v++) acc[i][v] = (LK(vector)){0};
  }
  // Four steps at a time, and each time the caches are asked for a little, because what is asked for
  // at once waits for one another: for the rows some steps ahead; for c, row by row; then for a share
  // of what is packed next.
  enum { together = 4, bytes_ahead = 1024, lines = (LK_TILE_VECTORS * LK_LANES + 15) / 16 };
  const float *row = c;
  long rows_left = height;
  for (; steps >= together; steps -= together) {
    if (rows_left > 0) {
      LK_UNROLL
      for (int line = 0; line < lines; line++) __builtin_prefetch(row + 16 * line, 1);
      row += ldc;
      rows_left--;
    } else if (share > 0) {
      LK(prefetch)(next, 1);
      share--;
    }
    LK_UNROLL
    for (int at = 0; at < together * height * 4; at += 64)
      __builtin_prefetch((const char *)a + bytes_ahead + at);
    LK_UNROLL
    for (int s = 0; s < together; s++)
      LK(tile_step)(height, vectors, rounds, acc, a + s * height, b + s * vectors * LK_LANES);
    a += together * height;
    b += together * vectors * LK_LANES;
  }
  LK(prefetch)(next, share);
  for (; steps > 0; steps--) {
    LK(tile_step)(height, vectors, rounds, acc, a, b);
    a += height;
    b += vectors * LK_LANES;
  }
  for (long s = 0; s < tail; s++) {
    LK_UNROLL
    for (int i = 0; i < height; i++) {
      LK_UNROLL
      for (int v = 0; v < vectors; v++)
        acc[i][v] += tail_a[i] * *(const LK(vector) *)(tail_b + v * LK_LANES);
    }
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
  steps, a, b, tail, tail_a, tail_b, alpha, beta, c, ldc, columns, next, share
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

static long LK(gemm_chunks)(long k, bool rounds) {
  // Pairs begin at even indices: room for one index more than k / chunks.
  const long depth = rounds ? 2 * (LK_TILE_DEPTH - 1) : LK_TILE_DEPTH;
  return lk_larger(1, (k + depth - 1) / depth);
}

static lk_gemm_words LK(gemm_room)(const lk_gemm *g) {
  const long first = lk_chunk_start(g, g->first_chunk), end = lk_chunk_start(g, g->end_chunk);
  return (lk_gemm_words){g->m * lk_steps(g, first, end), g->m * g->tail_depth};
}

// Panels of rows have heights that differ by at most one: none is left with a single row.
LK_INLINE long LK(panel_row)(long m, long panel) {
  const long panels = (m + LK_TILE_ROWS - 1) / LK_TILE_ROWS;
  return panel * m / panels;
}

/// Where the rows of a chunk are packed: chunk after chunk, each panel after panel.
LK_INLINE uint32_t *LK(packed_chunk)(const lk_gemm *g, long chunk) {
  return g->packed + g->m * lk_steps(g, lk_chunk_start(g, g->first_chunk), lk_chunk_start(g, chunk));
}

static void LK(gemm_pack)(const lk_gemm *g, long first_panel, long end_panel) {
  const long first = lk_chunk_start(g, g->first_chunk), last = lk_chunk_start(g, g->end_chunk);
  for (long panel = first_panel; panel < end_panel; panel++) {
    const long row = LK(panel_row)(g->m, panel), end = LK(panel_row)(g->m, panel + 1);
    LK(ahead) next = LK(look_ahead)(&g->a, end, lk_smaller(LK_TILE_ROWS, g->m - end), first,
                                    last - first);
    LK(prefetch)(&next, next.lines);
    for (long chunk = g->first_chunk; chunk < g->end_chunk; chunk++) {
      const long from = lk_chunk_start(g, chunk), to = lk_chunk_start(g, chunk + 1);
      LK(pack_panel)(g->rounds, &g->a, g->m, row, end - row, from, to, end - row,
                     LK(packed_chunk)(g, chunk) + row * lk_steps(g, from, to));
    }
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

/// Columns [band, band + count) of one chunk.
static void LK(multiply_band)(const lk_gemm *g, long chunk, long first_panel, long end_panel,
                              long band, long count, LK(ahead) next) {
  enum { full = LK_TILE_VECTORS * LK_LANES };
  uint32_t right[LK_BAND * LK_TILE_DEPTH] __attribute__((aligned(64)));
  float tail_right[full * LK_GEMM_TAIL] __attribute__((aligned(64)));
  const long first = lk_chunk_start(g, chunk), end = lk_chunk_start(g, chunk + 1);
  const long steps = lk_steps(g, first, end);
  const bool is_last = chunk + 1 == g->chunks;
  const long tail_count = is_last ? g->tail_count : 0, tail_depth = is_last ? g->tail_depth : 0;
  const float beta = chunk == 0 ? g->beta : 1;
  const uint32_t *packed = LK(packed_chunk)(g, chunk);
  LK(pack_band)(g->rounds, &g->b, g->n, band, count, first, end, right);
  // Each tile asks for some lines of what is packed next.
  const long tiles = (end_panel - first_panel) * ((count + full - 1) / full);
  const long share = tiles > 0 ? (next.lines + tiles - 1) / tiles : 0;
  for (long j = 0; j < count; j += full) {
    const long columns = lk_smaller(full, count - j);
    const bool slim = columns <= LK_LANES;
    uint32_t *tail = (uint32_t *)tail_right;
    for (long t = 0; t < tail_count; t++) {
      const lk_gemm_tail *from = &g->tails[t];
      const long width = slim ? LK_LANES : full;
      LK(pack_panel)(false, &from->b, g->n, band + j, columns, 0, from->depth, width, tail);
      tail += width * from->depth;
    }
    LK(tile_kernel) *const *kernels = LK(tile_kernels)[g->rounds][slim];
    for (long panel = first_panel; panel < end_panel; panel++) {
      const long row = LK(panel_row)(g->m, panel);
      const long height = LK(panel_row)(g->m, panel + 1) - row;
      kernels[height - 1](steps, packed + row * steps, right + j * steps, tail_depth,
                          g->packed_tail + row * g->tail_depth, tail_right, g->alpha, beta,
                          g->c + row * g->ldc + band + j, g->ldc, columns, &next, share);
    }
  }
}

static void LK(gemm_multiply)(const lk_gemm *g, long first_panel, long end_panel, long first_column,
                              long end_column) {
  for (long band = first_column; band < end_column; band += LK_BAND) {
    const long end = lk_smaller(band + LK_BAND, end_column);
    for (long chunk = g->first_chunk; chunk < g->end_chunk; chunk++) {
      // What is packed next: the band's next chunk, or the first one of the next band.
      const bool turns = chunk + 1 == g->end_chunk;
      const long column = turns ? end : band, after = turns ? g->first_chunk : chunk + 1;
      const long start = lk_chunk_start(g, after);
      const LK(ahead) next =
          LK(look_ahead)(&g->b, column, lk_smaller(LK_BAND, (turns ? g->n : end) - column), start,
                         lk_chunk_start(g, after + 1) - start);
      LK(multiply_band)(g, chunk, first_panel, end_panel, band, end - band, next);
    }
  }
}
