// Matrix products without tiles: each element of c is one sum in double precision.
#include "reference.h"

static double element(const lk_factor *x, bool rounds, long row, long index) {
  const long at = row * x->row_stride + index * x->depth_stride;
  float value = 0;
  switch (x->element) {
    case LK_F32: value = ((const float *)x->data)[at]; break;
    case LK_BF16: lk_reference_f32_from_bf16(1, (const uint16_t *)x->data + at, &value); break;
    case LK_F16: lk_reference_f32_from_f16(1, (const uint16_t *)x->data + at, &value); break;
  }
  if (rounds) {
    uint16_t narrow;
    lk_reference_bf16_from_f32(1, &value, &narrow);
    lk_reference_f32_from_bf16(1, &narrow, &value);
  }
  return value;
}

// Panels of one row; nothing is packed.
lk_gemm_tile lk_reference_gemm_shape(void) { return (lk_gemm_tile){1, 16, 32, 256, false}; }

long lk_reference_gemm_chunks(long k, bool rounds) {
  const long depth = rounds ? 510 : 256;
  return lk_larger(1, (k + depth - 1) / depth);
}

lk_gemm_words lk_reference_gemm_room(const lk_gemm *g) {
  (void)g;
  return (lk_gemm_words){0, 0};
}

void lk_reference_gemm_pack(const lk_gemm *g, long first_panel, long end_panel) {
  (void)g, (void)first_panel, (void)end_panel;
}

void lk_reference_gemm_pack_tails(const lk_gemm *g, long first_panel, long end_panel) {
  (void)g, (void)first_panel, (void)end_panel;
}

void lk_reference_gemm_multiply(const lk_gemm *g, long first_panel, long end_panel,
                                long first_column, long end_column) {
  const long first = lk_chunk_start(g, g->first_chunk), end = lk_chunk_start(g, g->end_chunk);
  const long tails = g->end_chunk == g->chunks ? g->tail_count : 0;
  const float beta = g->first_chunk == 0 ? g->beta : 1;
  for (long i = first_panel; i < end_panel; i++)
    for (long j = first_column; j < end_column; j++) {
      double sum = 0;
      for (long p = first; p < end; p++)
        sum += element(&g->a, g->rounds, i, p) * element(&g->b, g->rounds, j, p);
      for (long t = 0; t < tails; t++)
        for (long p = 0; p < g->tails[t].depth; p++)
          sum += element(&g->tails[t].a, false, i, p) * element(&g->tails[t].b, false, j, p);
      float *to = g->c + i * g->ldc + j;
      *to = (float)(g->alpha * sum + (beta == 0 ? 0 : (double)beta * *to));
    }
}
