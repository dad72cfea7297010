// The table of kernels of one family: what dispatch.c chooses between, and what the tests call
// directly, so that they compare families without changing the one that the process uses.
#ifndef LORA_KERNELS_TABLE_H
#define LORA_KERNELS_TABLE_H

#include "lora_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// The kernels in groups: X(result, name, parameters, arguments). A family has a group of its own, or
// has it from the family that it inherits from (families/*.c). The structure below, the tables of the
// families and the public functions `lk_name` are all written from these lists.

/// Between float32 and narrower types.
#define LK_CONVERSIONS(X)                                                                          \
  X(void, f32_from_bf16, (long n, const uint16_t *x, float *y), (n, x, y))                         \
  X(void, bf16_from_f32, (long n, const float *x, uint16_t *y), (n, x, y))                         \
  X(void, f32_from_f16, (long n, const uint16_t *x, float *y), (n, x, y))                          \
  X(void, f16_from_f32, (long n, const float *x, uint16_t *y), (n, x, y))

/// Element by element; AdamW's step is one of these.
#define LK_ELEMENTWISE(X)                                                                          \
  X(void, fill, (long n, float value, float *y), (n, value, y))                                    \
  X(void, add, (long n, const float *x, const float *y, float *z), (n, x, y, z))                   \
  X(void, sub, (long n, const float *x, const float *y, float *z), (n, x, y, z))                   \
  X(void, mul, (long n, const float *x, const float *y, float *z), (n, x, y, z))                   \
  X(void, div, (long n, const float *x, const float *y, float *z), (n, x, y, z))                   \
  X(void, axpy, (long n, float a, const float *x, float *y), (n, a, x, y))                         \
  X(void, axpby, (long n, float a, const float *x, float b, float *y), (n, a, x, b, y))            \
  X(void, scale, (long n, float a, const float *x, float *y), (n, a, x, y))                        \
  X(void, add_scalar, (long n, float a, const float *x, float *y), (n, a, x, y))                   \
  X(void, muladd, (long n, const float *x, const float *y, float *z), (n, x, y, z))                \
  X(void, unary_forward, (lk_unary op, long n, const float *x, float *y), (op, n, x, y))           \
  X(void, unary_backward,                                                                          \
    (lk_unary op, long n, const float *x, const float *dy, float *dx, bool accumulate),            \
    (op, n, x, dy, dx, accumulate))                                                                \
  X(void, gated_forward, (lk_unary op, long n, const float *gate, const float *up, float *y),      \
    (op, n, gate, up, y))                                                                          \
  X(void, gated_backward,                                                                          \
    (lk_unary op, long n, const float *gate, const float *up, const float *dy, float *dgate,       \
     float *dup),                                                                                  \
    (op, n, gate, up, dy, dgate, dup))                                                             \
  X(void, clamped_gate_forward, (long n, float alpha, float limit, const float *z, float *y),      \
    (n, alpha, limit, z, y))                                                                       \
  X(void, clamped_gate_backward,                                                                   \
    (long n, float alpha, float limit, const float *z, const float *dy, float *dz),                \
    (n, alpha, limit, z, dy, dz))                                                                  \
  X(void, adamw,                                                                                   \
    (long n, const float *p, float *p_out, const float *g, float gradient_scale, float *m,         \
     float *v, double lr, double beta1, double beta2, double eps, double weight_decay, long step), \
    (n, p, p_out, g, gradient_scale, m, v, lr, beta1, beta2, eps, weight_decay, step))             \
  X(void, lion,                                                                                    \
    (long n, const float *p, float *p_out, const float *g, float gradient_scale, float *m,         \
     double lr, double beta1, double beta2, double weight_decay),                                  \
    (n, p, p_out, g, gradient_scale, m, lr, beta1, beta2, weight_decay))                           \
  X(void, adamw_8bit,                                                                              \
    (long n, const float *p, float *p_out, const float *g, float gradient_scale, uint8_t *m,       \
     uint8_t *v, float *m_max, float *v_max, const float *m_map, const float *v_map, double lr,    \
     double beta1, double beta2, double eps, double weight_decay, long step),                      \
    (n, p, p_out, g, gradient_scale, m, v, m_max, v_max, m_map, v_map, lr, beta1, beta2, eps,      \
     weight_decay, step))                                                                          \
  X(void, add_squares, (long n, const float *g, float gradient_scale, double *sums),               \
    (n, g, gradient_scale, sums))                                                                  \
  X(void, adafactor_row,                                                                           \
    (long n, const float *g, float gradient_scale, float row, const float *columns, float floor,   \
     float *u),                                                                                    \
    (n, g, gradient_scale, row, columns, floor, u))

/// All elements to one number.
#define LK_REDUCTIONS(X)                                                                           \
  X(double, sum, (long n, const float *x), (n, x))                                                 \
  X(double, sum_squares, (long n, const float *x), (n, x))                                         \
  X(double, dot, (long n, const float *x, const float *y), (n, x, y))                              \
  X(float, max, (long n, const float *x), (n, x))                                                  \
  X(long, argmax, (long n, const float *x), (n, x))                                                \
  X(long, first_nonfinite_f32, (long n, const float *x), (n, x))                                   \
  X(long, first_nonfinite_bf16, (long n, const uint16_t *x), (n, x))                               \
  X(long, first_nonfinite_f16, (long n, const uint16_t *x), (n, x))

/// Random numbers by position.
#define LK_RANDOM(X)                                                                               \
  X(void, random_bits,                                                                             \
    (long n, uint64_t seed, uint64_t stream, uint64_t first_block, uint32_t *out),                 \
    (n, seed, stream, first_block, out))                                                           \
  X(void, random_uniform,                                                                          \
    (long n, uint64_t seed, uint64_t stream, uint64_t first_block, float low, float high,          \
     float *out),                                                                                  \
    (n, seed, stream, first_block, low, high, out))                                                \
  X(void, random_normal,                                                                           \
    (long n, uint64_t seed, uint64_t stream, uint64_t first_block, float mean, float deviation,    \
     float *out),                                                                                  \
    (n, seed, stream, first_block, mean, deviation, out))                                          \
  X(void, dropout,                                                                                 \
    (long n, float p, uint64_t seed, uint64_t stream, uint64_t first, const float *x, float *y),   \
    (n, p, seed, stream, first, x, y))

/// Along the rows or the columns of a matrix.
#define LK_ROWS(X)                                                                                 \
  X(void, add_row, (long rows, long cols, const float *row, float *y), (rows, cols, row, y))       \
  X(void, mul_row, (long rows, long cols, const float *x, const float *row, float *y),             \
    (rows, cols, x, row, y))                                                                       \
  X(void, sum_rows, (long rows, long cols, const float *x, float *sum), (rows, cols, x, sum))      \
  X(void, row_sums, (long rows, long cols, const float *x, float *sum), (rows, cols, x, sum))      \
  X(void, transpose, (long rows, long cols, const float *x, float *y), (rows, cols, x, y))         \
  X(void, softmax, (long rows, long cols, const float *x, float *y), (rows, cols, x, y))           \
  X(void, softmax_backward, (long rows, long cols, const float *y, const float *dy, float *dx),    \
    (rows, cols, y, dy, dx))                                                                       \
  X(void, row_dots,                                                                                \
    (long rows, long cols, const float *x, long ldx, const float *y, long ldy, float *d),          \
    (rows, cols, x, ldx, y, ldy, d))

/// Norms, positions, embeddings, the loss.
#define LK_LAYERS(X)                                                                               \
  X(void, rmsnorm,                                                                                 \
    (long rows, long cols, const float *x, const float *weight, float eps, float *y, float *inv),  \
    (rows, cols, x, weight, eps, y, inv))                                                          \
  X(void, rmsnorm_backward,                                                                        \
    (long rows, long cols, const float *x, const float *weight, const float *inv,                  \
     const float *dy, float *dx, bool accumulate, float *dweight),                                 \
    (rows, cols, x, weight, inv, dy, dx, accumulate, dweight))                                     \
  X(void, layernorm,                                                                               \
    (long rows, long cols, const float *x, const float *weight, const float *bias, float eps,      \
     float *y, float *mean, float *inv),                                                           \
    (rows, cols, x, weight, bias, eps, y, mean, inv))                                              \
  X(void, layernorm_backward,                                                                      \
    (long rows, long cols, const float *x, const float *weight, const float *mean,                 \
     const float *inv, const float *dy, float *dx, bool accumulate, float *dweight,                \
     float *dbias),                                                                                \
    (rows, cols, x, weight, mean, inv, dy, dx, accumulate, dweight, dbias))                        \
  X(void, rotary,                                                                                  \
    (long rows, long heads, long dim, long rotary, const float *cosines, const float *sines,       \
     bool adjacent, bool inverse, const float *x, long ldx, float *y, long ldy),                   \
    (rows, heads, dim, rotary, cosines, sines, adjacent, inverse, x, ldx, y, ldy))                 \
  X(void, gather_f32,                                                                              \
    (long rows, long cols, const float *table, const int64_t *ids, float *y),                      \
    (rows, cols, table, ids, y))                                                                   \
  X(void, gather_bf16,                                                                             \
    (long rows, long cols, const uint16_t *table, const int64_t *ids, float *y),                   \
    (rows, cols, table, ids, y))                                                                   \
  X(void, gather_f16,                                                                              \
    (long rows, long cols, const uint16_t *table, const int64_t *ids, float *y),                   \
    (rows, cols, table, ids, y))                                                                   \
  X(void, scatter_add,                                                                             \
    (long rows, long cols, const float *dy, const int64_t *ids, float *table),                     \
    (rows, cols, dy, ids, table))                                                                  \
  X(void, cross_entropy,                                                                           \
    (long rows, long cols, const float *logits, const int64_t *targets, float *loss, float *lse),  \
    (rows, cols, logits, targets, loss, lse))                                                      \
  X(void, cross_entropy_gradient,                                                                  \
    (long rows, long cols, float *logits, const int64_t *targets, float scale, float *loss),       \
    (rows, cols, logits, targets, scale, loss))                                                    \
  X(void, cross_entropy_backward,                                                                  \
    (long rows, long cols, float *logits, const int64_t *targets, const float *lse, float scale),  \
    (rows, cols, logits, targets, lse, scale))

/// Attention, and the products that only it takes.
#define LK_ATTENTION(X)                                                                            \
  X(void, attention_softmax,                                                                       \
    (long rows, long cols, long stride, const int32_t *first, const int32_t *end, long first_key,  \
     float scale, float cap, float slope, const float *bias, float *s, float *lse),                \
    (rows, cols, stride, first, end, first_key, scale, cap, slope, bias, s, lse))                  \
  X(void, attention_exponentials,                                                                  \
    (long rows, long cols, long stride, const int32_t *first, const int32_t *end, long first_key,  \
     float cap, float slope, const float *bias, float *s, float *largest, double *sum,             \
     float *factor),                                                                               \
    (rows, cols, stride, first, end, first_key, cap, slope, bias, s, largest, sum, factor))        \
  X(void, attention_finish,                                                                        \
    (long rows, long cols, const float *o, const float *largest, const double *sum, float *y,      \
     long ldy, float *lse),                                                                        \
    (rows, cols, o, largest, sum, y, ldy, lse))                                                    \
  X(void, attention_gradients,                                                                     \
    (long rows, long cols, long stride, const int32_t *first, const int32_t *end, long first_key,  \
     float cap, float slope, const float *bias, float *s, float *dp, const float *lse,             \
     const float *delta),                                                                          \
    (rows, cols, stride, first, end, first_key, cap, slope, bias, s, dp, lse, delta))              \
  X(void, pack_panels,                                                                             \
    (long rows, long cols, const float *x, long ldx, float *panels, long panel_step),              \
    (rows, cols, x, ldx, panels, panel_step))                                                      \
  X(void, pack_panels_transposed,                                                                  \
    (long rows, long cols, const float *x, long ldx, float *panels, long panel_step),              \
    (rows, cols, x, ldx, panels, panel_step))                                                      \
  X(void, panel_product,                                                                           \
    (long m, long n, long k, const float *a, long row_step, long k_step, const float *panels,      \
     long panel_step, bool accumulate, float *c, long ldc),                                        \
    (m, n, k, a, row_step, k_step, panels, panel_step, accumulate, c, ldc))                        \
  X(void, attention_row,                                                                           \
    (long keys, long size, const float *q, const float *k, long ldk, const float *v, long ldv,     \
     float scale, float cap, float slope, const float *bias, float *scores, float *out),           \
    (keys, size, q, k, ldk, v, ldv, scale, cap, slope, bias, scores, out))

/// Products of few rows, which read every weight once.
#define LK_FEW_ROWS(X)                                                                             \
  X(void, gemv_f32,                                                                                \
    (long rows, long n, long k, const float *x, const float *w, float *y, long ldy,                \
     bool accumulate),                                                                             \
    (rows, n, k, x, w, y, ldy, accumulate))                                                        \
  X(void, gemv_bf16,                                                                               \
    (long rows, long n, long k, const float *x, const uint16_t *w, float *y, long ldy,             \
     bool accumulate),                                                                             \
    (rows, n, k, x, w, y, ldy, accumulate))                                                        \
  X(void, gemv_f16,                                                                                \
    (long rows, long n, long k, const float *x, const uint16_t *w, float *y, long ldy,             \
     bool accumulate),                                                                             \
    (rows, n, k, x, w, y, ldy, accumulate))

/// Quantized blocks.
#define LK_BLOCKS(X)                                                                               \
  X(void, dequantize, (lk_block_format format, long blocks, const uint8_t *x, float *y),           \
    (format, blocks, x, y))                                                                        \
  X(bool, quantize, (lk_block_format format, long blocks, const float *x, uint8_t *y),             \
    (format, blocks, x, y))                                                                        \
  X(long, first_nonfinite_block, (lk_block_format format, long blocks, const uint8_t *x),          \
    (format, blocks, x))                                                                           \
  X(void, gemv_blocks,                                                                             \
    (lk_block_format format, long rows, long n, long k, const float *x, const uint8_t *w,          \
     float *y, long ldy, bool accumulate),                                                         \
    (format, rows, n, k, x, w, y, ldy, accumulate))

/// Products of many rows: the tile, the way its factors are packed, and the CPU's limit for them.
#define LK_PRODUCTS(X)                                                                             \
  X(lk_gemm_tile, gemm_shape, (void), ())                                                          \
  X(long, gemm_chunks, (long k, bool rounds), (k, rounds))                                         \
  X(lk_gemm_words, gemm_room, (const lk_gemm *g), (g))                                             \
  X(void, gemm_pack, (const lk_gemm *g, long first_panel, long end_panel),                         \
    (g, first_panel, end_panel))                                                                   \
  X(void, gemm_pack_tails, (const lk_gemm *g, long first_panel, long end_panel),                   \
    (g, first_panel, end_panel))                                                                   \
  X(void, gemm_multiply,                                                                           \
    (const lk_gemm *g, long first_panel, long end_panel, long first_column, long end_column),      \
    (g, first_panel, end_panel, first_column, end_column))                                         \
  X(long, float_chains, (long rounds, float *sink), (rounds, sink))                                \
  X(long, bfloat16_chains, (long rounds, float *sink), (rounds, sink))

/// Every kernel.
#define LK_KERNELS(X)                                                                              \
  LK_CONVERSIONS(X) LK_ELEMENTWISE(X) LK_REDUCTIONS(X) LK_RANDOM(X) LK_ROWS(X)                     \
  LK_LAYERS(X) LK_ATTENTION(X) LK_FEW_ROWS(X) LK_BLOCKS(X) LK_PRODUCTS(X)

// That no field is NULL lets Swift call them without unwrapping. Which arrays may be NULL is not
// said here, and clang would have all or nothing of a header say it.
#if defined(__clang__)
#define LK_PRESENT _Nonnull
#define LK_MAY_BE_NULL _Nullable
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-completeness"
#else
#define LK_PRESENT
#define LK_MAY_BE_NULL
#endif

typedef struct lk_kernel_table {
  lk_family family;
#define LK_FIELD(result, name, parameters, arguments) result(*LK_PRESENT name) parameters;
  LK_KERNELS(LK_FIELD)
#undef LK_FIELD
} lk_kernel_table;

/// The kernels of `family`, its own and those that it inherits, or NULL where this CPU (or this build)
/// cannot run it.
const lk_kernel_table *LK_MAY_BE_NULL lk_family_table(lk_family family);

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#ifdef __cplusplus
}
#endif
#endif
