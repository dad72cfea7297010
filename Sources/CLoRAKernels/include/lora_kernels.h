// The kernels of the library: every loop over elements that Swift orchestrates.
//
// Conventions. Pointers are contiguous arrays, row-major; `n` counts elements, `rows` x `cols`
// describe matrices. `float` is float32; `uint16_t *` holds bfloat16 or float16 bit patterns, as
// the name says. An output may be the same array as an input where the comment says "in place";
// arrays never overlap in any other way. Sizes may be 0. Nothing allocates unless it says so,
// nothing prints, nothing keeps state but the thread pool and the chosen family.
//
// Every kernel runs on the calling thread and may run on many at once; how a
// caller divides elements, rows, or columns of a product among threads never changes a bit of the
// results (what is summed over, dweight and dbias included, is not to be divided).
//
// Each kernel exists as a plain reference (reference/) and as a body (bodies/) that is compiled
// once per instruction set (families/); the first call picks the best that this CPU runs
// (dispatch.c).
#ifndef LORA_KERNELS_H
#define LORA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Families

typedef enum lk_family {
  LK_FAMILY_REFERENCE = 0,   // plain C, libm: what the others are tested against
  LK_FAMILY_GENERIC = 1,     // the vector bodies, baseline instructions of the architecture
  LK_FAMILY_AVX2 = 2,        // AVX2 + FMA + F16C
  LK_FAMILY_AVX512 = 3,      // AVX-512 F, BW, VL, DQ
  LK_FAMILY_AVX512BF16 = 4,  // the same with the bfloat16 dot product
  LK_FAMILY_NEON = 5         // Arm 64 bit
} lk_family;

/// Whether this CPU (and this build) can run `family`.
bool lk_family_is_supported(lk_family family);
/// The family in use. The first call picks the best one, or the one that LORA_KERNELS names
/// (reference, generic, avx2, avx512, avx512bf16, neon) if it is supported.
lk_family lk_active_family(void);
/// Makes `family` the one in use, for the whole process; false (and no change) if unsupported.
/// For tests and measurements: not while kernels run on other threads.
bool lk_select_family(lk_family family);
const char *lk_family_name(lk_family family);

// MARK: Threads

/// How many threads work on a parallel region, the caller included. At least 1.
int lk_thread_count(void);
/// Sets that number; 0 means one per processor that this process may run on. Default 0, or
/// LORA_THREADS, a number from 1 to 256; anything else there counts as nothing.
void lk_set_thread_count(int count);
/// Runs body(context, 0) ... body(context, count - 1), each once, and returns when all are done.
/// Each thread has a share of consecutive indexes; who is done takes half of what another has left.
/// While the pool is busy with another region (a concurrent caller, or a nested call from a body),
/// the caller runs all of its indexes itself.
/// Callers must make results independent of which thread runs an index.
void lk_parallel_for(long count, void (*body)(void *context, long index), void *context);

// MARK: Conversions

void lk_f32_from_bf16(long n, const uint16_t *x, float *y);
void lk_bf16_from_f32(long n, const float *x, uint16_t *y);  // nearest even; NaN stays NaN (quiet)
void lk_f32_from_f16(long n, const uint16_t *x, float *y);
void lk_f16_from_f32(long n, const float *x, uint16_t *y);   // nearest even; overflow to infinity

// MARK: Element by element (in place allowed: y or z may be x)

void lk_fill(long n, float value, float *y);
void lk_add(long n, const float *x, const float *y, float *z);
void lk_sub(long n, const float *x, const float *y, float *z);
void lk_mul(long n, const float *x, const float *y, float *z);
void lk_div(long n, const float *x, const float *y, float *z);
void lk_axpy(long n, float a, const float *x, float *y);              // y += a x
/// y = a x + b y; y is not read if b is 0.
void lk_axpby(long n, float a, const float *x, float b, float *y);
void lk_scale(long n, float a, const float *x, float *y);             // y = a x
void lk_add_scalar(long n, float a, const float *x, float *y);        // y = x + a
void lk_muladd(long n, const float *x, const float *y, float *z);     // z += x * y (z is not x, y)

typedef enum lk_unary {
  LK_EXP = 0, LK_LOG, LK_SQRT, LK_RSQRT, LK_SQUARE, LK_TANH, LK_SIGMOID, LK_RELU,
  LK_SILU,        // x sigmoid(x)
  LK_GELU,        // x Phi(x), with erf
  LK_GELU_TANH,   // the tanh approximation
  LK_UNARY_COUNT
} lk_unary;

/// y = f(x). Relative error a few float32 roundings over the whole finite range, exact limits at
/// infinities, NaN stays NaN.
void lk_unary_forward(lk_unary op, long n, const float *x, float *y);
/// dx = dy f'(x), or dx += with `accumulate`. In place (dx is x or dy) allowed unless accumulating.
void lk_unary_backward(lk_unary op, long n, const float *x, const float *dy, float *dx,
                       bool accumulate);

/// y = f(gate) * up; f is LK_SILU, LK_GELU or LK_GELU_TANH. In place allowed.
void lk_gated_forward(lk_unary op, long n, const float *gate, const float *up, float *y);
/// dgate = dy up f'(gate), dup = dy f(gate). Either may be NULL; in place (dgate == gate,
/// dup == up) allowed.
void lk_gated_backward(lk_unary op, long n, const float *gate, const float *up, const float *dy,
                       float *dgate, float *dup);

/// gpt-oss's gate: z holds gates and ups in turn, [n][2]; y = (up + 1) gate sigmoid(alpha gate), the gate
/// at most `limit` and the up within +-limit.
void lk_clamped_gate_forward(long n, float alpha, float limit, const float *z, float *y);
/// The gradient of z, [n][2], from that of y. In place (dz is z) allowed. Zero beyond the limit.
void lk_clamped_gate_backward(long n, float alpha, float limit, const float *z, const float *dy,
                              float *dz);
/// The numbers of MXFP4 blocks of 32, as bfloat16: 16 bytes a block, whose low halves are the even
/// elements, and a scale, 2^(scale - 127). A scale of 255 gives NaN.
void lk_mxfp4_to_bf16(long blocks, const uint8_t *x, const uint8_t *scales, uint16_t *y);

// MARK: Rows and columns

void lk_add_row(long rows, long cols, const float *row, float *y);    // y[r,:] += row (bias)
/// y[r,:] = x[r,:] * row; in place allowed.
void lk_mul_row(long rows, long cols, const float *x, const float *row, float *y);
void lk_sum_rows(long rows, long cols, const float *x, float *sum);  // sum[c] += over r of x[r,c]
void lk_row_sums(long rows, long cols, const float *x, float *sum);  // sum[r] = over c of x[r,c]
void lk_transpose(long rows, long cols, const float *x, float *y);   // y[c,r] = x[r,c], tiled

/// Softmax of each row; in place allowed. A row of -infinity only gives zeros, a NaN makes its row
/// NaN.
void lk_softmax(long rows, long cols, const float *x, float *y);
/// dx = y (dy - sum(y dy)) per row; in place allowed (dx == dy).
void lk_softmax_backward(long rows, long cols, const float *y, const float *dy, float *dx);

// Query r sees the keys [first[r], end[r]), none where end[r] <= first[r]; column c of a row of
// scores is of key first_key + c. With a soft cap, cap > 0, a scaled score s counts as
// cap tanh(s / cap); with cap 0 as itself. Then slope times the distance to the last key that the
// query sees is subtracted (ALiBi: under a causal mask that key is at the query's own position), and
// bias[c - r] is added for column c of row r: what a key's distance from the query is worth. NULL adds
// nothing. What a query does not see is never read, of the bias neither.

/// Scores of `rows` queries against `cols` keys, in place: s = softmax(scale s), capped, over what
/// the query sees. The rest becomes 0; a query that sees nothing gets zeros and lse -infinity.
/// lse[r] (may be NULL) gets the log of the sum of exponentials; rows are `stride` floats apart.
void lk_attention_softmax(long rows, long cols, long stride, const int32_t *first,
                          const int32_t *end, long first_key, float scale, float cap,
                          float slope, const float *bias, float *s, float *lse);
/// The same for one block of a query's keys at a time, scores already scaled, nothing divided yet:
/// s = exp(s - m), m the row's largest (capped) score in this and earlier blocks. largest[r] and
/// sum[r] hold what earlier blocks gave (-infinity and 0 before the first) and get what holds now;
/// factor[r] is what sums over earlier blocks are to be multiplied by. What is not seen becomes 0.
void lk_attention_exponentials(long rows, long cols, long stride, const int32_t *first,
                               const int32_t *end, long first_key, float cap, float slope,
                               const float *bias, float *s, float *largest, double *sum, float *factor);
/// After the last block: y = o / sum[r] (0 where nothing was seen) and, unless lse is NULL,
/// lse[r] = largest[r] + log sum[r]. o is contiguous, y has rows ldy floats apart; in place
/// allowed.
void lk_attention_finish(long rows, long cols, const float *o, const float *largest,
                         const double *sum, float *y, long ldy, float *lse);
/// From scaled scores s, gradients dp of the probabilities, lse and delta[r] = sum of p dp, in
/// place: s becomes p = exp(s - lse), of the capped score; dp becomes the gradient of the scaled
/// score, p (dp - delta), with a cap times its slope 1 - tanh(s / cap)^2. Zeros where nothing is
/// seen, whatever was there.
void lk_attention_gradients(long rows, long cols, long stride, const int32_t *first,
                            const int32_t *end, long first_key, float cap, float slope,
                            const float *bias, float *s, float *dp, const float *lse, const float *delta);
/// d[r] = sum over c of x[r,c] y[r,c]; rows of x and y are ldx and ldy floats apart.
void lk_row_dots(long rows, long cols, const float *x, long ldx, const float *y, long ldy,
                 float *d);

// MARK: Products with packed matrices (attention)

/// Packs a matrix [rows, cols] into panels of 32 columns, the last one padded with zeros: element
/// (r, c) goes to panels[c / 32 * panel_step + r * 32 + c % 32]. x has rows ldx floats apart.
void lk_pack_panels(long rows, long cols, const float *x, long ldx, float *panels, long panel_step);
/// The same, from its transpose: element (r, c) is x[c * ldx + r].
void lk_pack_panels_transposed(long rows, long cols, const float *x, long ldx, float *panels,
                               long panel_step);
/// c = a b, or c += a b with `accumulate`: a [m, k] with element (i, l) at a[i * row_step +
/// l * k_step], b [k, n] packed, c [m, n] with rows ldc floats apart.
void lk_panel_product(long m, long n, long k, const float *a, long row_step, long k_step,
                      const float *panels, long panel_step, bool accumulate, float *c, long ldc);

// MARK: Norms

/// y = x * inv[r] * weight, inv[r] = 1 / sqrt(mean(x^2) + eps). `inv` has `rows` floats (may be
/// NULL). In place allowed.
void lk_rmsnorm(long rows, long cols, const float *x, const float *weight, float eps, float *y,
                float *inv);
/// dx = gradient (or += with accumulate; dx may be NULL, or dy without accumulate); dweight += (may
/// be NULL).
void lk_rmsnorm_backward(long rows, long cols, const float *x, const float *weight,
                         const float *inv, const float *dy, float *dx, bool accumulate,
                         float *dweight);
/// y = (x - mean) * inv * weight + bias (bias may be NULL). mean, inv: `rows` floats each (may be
/// NULL). The variance is the biased one. In place allowed.
void lk_layernorm(long rows, long cols, const float *x, const float *weight, const float *bias,
                  float eps, float *y, float *mean, float *inv);
/// As lk_rmsnorm_backward; dbias += (may be NULL).
void lk_layernorm_backward(long rows, long cols, const float *x, const float *weight,
                           const float *mean, const float *inv, const float *dy, float *dx,
                           bool accumulate, float *dweight, float *dbias);

// MARK: Rotary embedding

/// Rotates `heads` vectors of `dim` floats a row; row r uses cosines[r * half ...], sines likewise,
/// with half = rotary / 2, on the first `rotary` elements of each head (the others are copied).
/// Pairs are (i, i + half), or (2i, 2i + 1) if `adjacent`. `inverse` rotates back (the backward
/// pass).
/// x has rows ldx floats apart and y ldy; in place allowed.
void lk_rotary(long rows, long heads, long dim, long rotary, const float *cosines,
               const float *sines, bool adjacent, bool inverse, const float *x, long ldx, float *y,
               long ldy);

// MARK: Embedding

/// y[r,:] = table[ids[r],:]; ids are checked by the caller.
void lk_gather_f32(long rows, long cols, const float *table, const int64_t *ids, float *y);
void lk_gather_bf16(long rows, long cols, const uint16_t *table, const int64_t *ids, float *y);
void lk_gather_f16(long rows, long cols, const uint16_t *table, const int64_t *ids, float *y);
/// table[ids[r],:] += dy[r,:]
void lk_scatter_add(long rows, long cols, const float *dy, const int64_t *ids, float *table);

// MARK: Loss

/// For each row: loss[r] = lse - logits[target], lse[r] = log sum exp (may be NULL; an ignored row
/// has it too). A target < 0 is ignored: loss 0. The caller checks that targets are < cols.
void lk_cross_entropy(long rows, long cols, const float *logits, const int64_t *targets,
                      float *loss, float *lse);
/// Loss and gradient at once, with one exponential an element: loss[r] as above, then, in place,
/// logits[r,c] = (softmax - [c == target]) * scale; an ignored row becomes zeros.
void lk_cross_entropy_gradient(long rows, long cols, float *logits, const int64_t *targets,
                               float scale, float *loss);
/// In place: logits[r,c] = (exp(logits - lse[r]) - [c == target]) * scale; an ignored row becomes
/// zeros.
void lk_cross_entropy_backward(long rows, long cols, float *logits, const int64_t *targets,
                               const float *lse, float scale);

// MARK: Reductions (fixed order: the same bits in every run). Sums are in double throughout.

double lk_sum(long n, const float *x);
double lk_sum_squares(long n, const float *x);
double lk_dot(long n, const float *x, const float *y);
float lk_max(long n, const float *x);  // n >= 1; NaN if any is NaN
/// Index of the first of the largest that are not NaN; 0 if all are. n >= 1.
long lk_argmax(long n, const float *x);
long lk_first_nonfinite_f32(long n, const float *x);  // index, or -1
long lk_first_nonfinite_bf16(long n, const uint16_t *x);
long lk_first_nonfinite_f16(long n, const uint16_t *x);

// MARK: Optimizer

/// One pass of AdamW as torch.optim.AdamW computes it (foreach=False, capturable=False):
/// p1 = p (1 - lr wd); m += (g' - m)(1 - beta1); v = beta2 v + (1 - beta2) g'^2,
/// g' = g gradient_scale; p_out = p1 - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step)
/// + eps). p_out may be p. `step` counts from 1.
void lk_adamw(long n, const float *p, float *p_out, const float *g, float gradient_scale, float *m,
              float *v, double lr, double beta1, double beta2, double eps, double weight_decay,
              long step);

/// One pass of Lion: p_out = p (1 - lr wd) - lr sign(beta1 m + (1 - beta1) g'), then
/// m = beta2 m + (1 - beta2) g', g' = g gradient_scale. p_out may be p.
void lk_lion(long n, const float *p, float *p_out, const float *g, float gradient_scale, float *m,
             double lr, double beta1, double beta2, double weight_decay);

/// AdamW as above on one block of at most 256 elements, whose moments are m_map[m[i]] *m_max and
/// v_map[v[i]] *v_max before and after: codes of the nearest of 256 ascending values, and the
/// largest magnitude.
void lk_adamw_8bit(long n, const float *p, float *p_out, const float *g, float gradient_scale,
                   uint8_t *m, uint8_t *v, float *m_max, float *v_max, const float *m_map,
                   const float *v_map, double lr, double beta1, double beta2, double eps,
                   double weight_decay, long step);

/// sums[i] += (g[i] gradient_scale)^2
void lk_add_squares(long n, const float *g, float gradient_scale, double *sums);
/// A row of Adafactor's update: u[i] = g[i] gradient_scale / sqrt(max(row columns[i], floor)).
void lk_adafactor_row(long n, const float *g, float gradient_scale, float row,
                      const float *columns, float floor, float *u);

// MARK: Random numbers (Philox 4x32-10; the same bits on every machine and in every family)

/// out[i] is word i % 4 of the block with 128-bit counter (first_block + i / 4, stream), key seed.
void lk_random_bits(long n, uint64_t seed, uint64_t stream, uint64_t first_block, uint32_t *out);
/// Uniform in [low, high): low + (high - low) * (bits >> 8) 2^-24, kept below `high` where rounding
/// would reach it.
void lk_random_uniform(long n, uint64_t seed, uint64_t stream, uint64_t first_block, float low,
                       float high, float *out);
/// Normal by Box-Muller on pairs of words, with logarithm and sine of our own in IEEE basic
/// operations only (no libm, no contraction), so that the bits are the same everywhere.
void lk_random_normal(long n, uint64_t seed, uint64_t stream, uint64_t first_block, float mean,
                      float deviation, float *out);
/// y = x * keep / (1 - p), keep drawn from (seed, stream) by element index + first; call it on the
/// gradient with the same arguments for the backward pass. What is dropped is 0 even if it was not
/// finite. In place allowed. `first` is a multiple of 4.
void lk_dropout(long n, float p, uint64_t seed, uint64_t stream, uint64_t first, const float *x,
                float *y);

// MARK: Matrix times vectors with narrow weights (decoding)

/// y[r * ldy + j] = (accumulate ? y : 0) + sum over i of x[r * k + i] w[j * k + i], 0 <= j < n:
/// x Wᵀ for few rows (rows <= 8 is the intended use). Products and sums in float32; narrow weights
/// are widened exactly.
void lk_gemv_f32(long rows, long n, long k, const float *x, const float *w, float *y, long ldy,
                 bool accumulate);
void lk_gemv_bf16(long rows, long n, long k, const float *x, const uint16_t *w, float *y, long ldy,
                  bool accumulate);
void lk_gemv_f16(long rows, long n, long k, const float *x, const uint16_t *w, float *y, long ldy,
                 bool accumulate);

// MARK: Block-quantized weights

/// How GGUF stores a matrix in blocks of a row, by its number there. A block holds its scales and the
/// integers of 32 (or, of the formats K, 256) consecutive elements; MXFP4's its exponent and numbers of
/// four bits.
typedef enum lk_block_format {
  LK_Q4_0 = 2, LK_Q4_1 = 3, LK_Q5_0 = 6, LK_Q5_1 = 7, LK_Q8_0 = 8,
  LK_Q4_K = 12, LK_Q5_K = 13, LK_Q6_K = 14, LK_MXFP4 = 39
} lk_block_format;

/// The elements of a block, and its bytes.
long lk_block_elements(lk_block_format format);
long lk_block_bytes(lk_block_format format);

/// The numbers of `blocks` blocks. Bit for bit the same in every family: each product and each sum
/// is rounded by itself, as gguf-py computes them.
void lk_dequantize(lk_block_format format, long blocks, const uint8_t *x, float *y);
/// The blocks of so many numbers, bit for bit as gguf-py makes them; for the formats of 32 integers.
/// False, with nothing written, for the others.
bool lk_quantize(lk_block_format format, long blocks, const float *x, uint8_t *y);
/// The first block with a scale that is not finite, or with an exponent that makes numbers beyond float32,
/// or -1.
long lk_first_nonfinite_block(lk_block_format format, long blocks, const uint8_t *x);
/// As lk_gemv_f32 with the numbers of w, whose rows are k / elements blocks: bit for bit the same.
/// Every block is read once.
void lk_gemv_blocks(lk_block_format format, long rows, long n, long k, const float *x,
                    const uint8_t *w, float *y, long ldy, bool accumulate);

/// Attention of one query q[size] that sees all `keys` keys, whose rows are ldk floats apart, and
/// their values, ldv apart: scores = softmax(scale k q), with cap, slope and bias as in
/// lk_attention_softmax (that of key s is bias[s]), out[c] = sum over s of scores[s] v[s, c]. `scores` has room for `keys`
/// floats. Without keys, out is zero.
void lk_attention_row(long keys, long size, const float *q, const float *k, long ldk,
                      const float *v, long ldv, float scale, float cap, float slope,
                      const float *bias, float *scores, float *out);

// MARK: Matrix products

typedef enum lk_element { LK_F32 = 0, LK_BF16 = 1, LK_F16 = 2 } lk_element;

/// A factor of a product, as it lies in memory: its element of row i and index p, which is summed
/// over, is data[i * row_stride + p * depth_stride]. Fast where one of the strides is 1.
typedef struct lk_factor {
  const void *data;
  lk_element element;
  long row_stride, depth_stride;
} lk_factor;

/// A term that is added to a product in float32: a low-rank update, a bias.
typedef struct lk_gemm_tail {
  lk_factor a, b;  // m and n rows
  long depth;
} lk_gemm_tail;

/// The sum of the depths of all tails is at most this.
#define LK_GEMM_TAIL 256

/// A product c = beta c + alpha (a bᵀ + the tails), and the part of it that a call works on.
/// c is [m, n], row-major with `ldc` elements between rows; a has m rows, b has n.
///
/// Sums are cut into `chunks` of nearly equal length, at least as many as lk_gemm_chunks says. Some
/// consecutive ones are packed at a time and then multiplied; the bits of c do not depend on how many.
/// How they are packed is the family's own: only it reads what it packed, in the room that it asked
/// for.
typedef struct lk_gemm {
  long m, n, k;
  lk_factor a, b;
  long chunks;                  // at least 1
  long first_chunk, end_chunk;  // those of this call
  bool rounds;  // a and b are rounded to bfloat16, as that dot product takes them
  long tail_count, tail_depth;  // how many, and the sum of their depths
  const lk_gemm_tail *tails;    // added with the last chunk
  float alpha, beta;  // beta belongs to the first chunk; 0: c is not read
  float *c;
  long ldc;
  uint32_t *packed;    // for a, as many words as lk_gemm_room says
  float *packed_tail;  // for the tails' a
} lk_gemm;

/// The shapes that the family's kernels are made for.
typedef struct lk_gemm_tile {
  long rows;         // a panel of `a` has up to so many: there are ceil(m / rows) panels
  long columns;      // of a panel of `b`: columns are best divided at multiples of it
  long band;         // columns that are packed together: better still, where there are many
  long depth;        // the most steps of a chunk; a step is an index, or two if it rounds
  bool is_rounding_fast;  // the CPU multiplies pairs of bfloat16 faster than floats
} lk_gemm_tile;
lk_gemm_tile lk_gemm_shape(void);

/// The fewest chunks that sums of length k are cut into, at least 1.
long lk_gemm_chunks(long k, bool rounds);

/// The words of 32 bits that packing takes.
typedef struct lk_gemm_words {
  long packed, packed_tail;
} lk_gemm_words;
/// Those that `packed` and `packed_tail` must have room for, for the m rows and the chunks of `g`.
lk_gemm_words lk_gemm_room(const lk_gemm *g);

/// The bytes of a core's second-level cache, as the system says; 1 MiB where it does not.
long lk_second_level_cache(void);

/// Packs panels [first_panel, end_panel) of `a`, and of the tails' a. All panels must be packed
/// before any is multiplied.
void lk_gemm_pack(const lk_gemm *g, long first_panel, long end_panel);
void lk_gemm_pack_tails(const lk_gemm *g, long first_panel, long end_panel);

/// Adds the chunks to the elements of c in the rows of panels [first_panel, end_panel) and in columns
/// [first_column, end_column). Needs up to 128 KiB of stack.
void lk_gemm_multiply(const lk_gemm *g, long first_panel, long end_panel, long first_column,
                      long end_column);

// MARK: The machine's limit

/// Runs `rounds` rounds of independent chains x = x sink[0] + sink[1] in registers, with no memory
/// in between, and returns how many floating-point operations that was (a multiply-add is two).
/// sink has three floats; the last one gets a result.
long lk_float_chains(long rounds, float *sink);
/// The same with dot products of bfloat16 pairs where the family has them; else as lk_float_chains.
long lk_bfloat16_chains(long rounds, float *sink);

#ifdef __cplusplus
}
#endif
#endif
