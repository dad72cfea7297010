// Compares the kernels of one family with the reference; see README.md. usage: compare_families
// neon|avx512|avx512bf16. Exit status 0 if all agree; one line for each that does not.
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static int failures, comparisons;
static uint64_t state = 1;

static float number(float low, float high) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return low + (high - low) * (float)(state >> 40) * 0x1p-24f;
}

static void fill(float *x, long n) {
  for (long i = 0; i < n; i++) x[i] = number(-2, 2);
}

/// Records a failure if an element differs by more than `tolerance` times the size of it or 1.
static void compare(const char *what, long a, long b, long c, const float *got, const float *want,
                    long n, float tolerance) {
  comparisons++;
  for (long i = 0; i < n; i++) {
    // Blocks that nobody wrote to are many, and an emulator takes its time for each comparison.
    if (i % 64 == 0 && i + 64 <= n && memcmp(got + i, want + i, 64 * sizeof *got) == 0) {
      i += 63;
      continue;
    }
    const float size = fabsf(want[i]) > 1 ? fabsf(want[i]) : 1;
    if (got[i] == want[i] || fabsf(got[i] - want[i]) <= tolerance * size) continue;
    if (got[i] != got[i] && want[i] != want[i]) continue;
    printf("%s (%ld, %ld, %ld): element %ld is %g, not %g\n", what, a, b, c, i, (double)got[i],
           (double)want[i]);
    failures++;
    return;
  }
}

enum { most = 1 << 15 };
static float x[most], y[most], z[most], r1[most], r2[most], s1[most], s2[most], t1[most], t2[most];
static uint16_t h1[most], h2[most];
static int64_t ids[most];
static int32_t first[16], end[16];

// Runs `call` once with the table k = got and outputs o, p, q, once with the reference.
#define BOTH(what, n, tolerance, call)                                   \
  do {                                                                   \
    memcpy(r1, z, sizeof z), memcpy(r2, z, sizeof z);                    \
    memcpy(s1, z, sizeof z), memcpy(s2, z, sizeof z);                    \
    memcpy(t1, z, sizeof z), memcpy(t2, z, sizeof z);                    \
    { const lk_kernel_table *k = got; float *o = r1, *p = s1, *q = t1; (void)p, (void)q; call; }  \
    { const lk_kernel_table *k = want; float *o = r2, *p = s2, *q = t2; (void)p, (void)q; call; } \
    compare(what, n, rows, cols, r1, r2, most, tolerance);               \
    compare(what, n, rows, cols, s1, s2, most, tolerance);               \
    compare(what, n, rows, cols, t1, t2, most, tolerance);               \
  } while (0)

static void compare_elements(const lk_kernel_table *got, const lk_kernel_table *want) {
  const long rows = 0, cols = 0;
  for (long n = 0; n < 70; n++) {
    BOTH("add", n, 0, k->add(n, x, y, o));
    BOTH("div", n, 1e-6f, k->div(n, x, y, o));
    BOTH("axpby", n, 1e-6f, k->axpby(n, 0.5f, x, 2, o));
    BOTH("muladd", n, 1e-6f, k->muladd(n, x, y, o));
    for (int op = 0; op < LK_UNARY_COUNT; op++) {
      BOTH("unary", n, 1e-5f, k->unary_forward((lk_unary)op, n, x, o));
      BOTH("unary backward", n, 1e-4f, k->unary_backward((lk_unary)op, n, x, y, o, true));
    }
    BOTH("gated", n, 1e-5f, k->gated_forward(LK_SILU, n, x, y, o));
    BOTH("gated backward", n, 1e-5f, k->gated_backward(LK_SILU, n, x, y, y + n, o, p));
    BOTH("clamped gate", n / 2, 1e-5f, k->clamped_gate_forward(n / 2, 1.702f, 1, x, o));
    BOTH("clamped gate backward", n / 2 * 2, 1e-5f,
         k->clamped_gate_backward(n / 2, 1.702f, 1, x, y, o));
    BOTH("narrow", n, 0, k->bf16_from_f32(n, x, h1); k->f32_from_bf16(n, h1, o));
    BOTH("half", n, 0, k->f16_from_f32(n, x, h2); k->f32_from_f16(n, h2, o));
    BOTH("sum", n, 1e-6f, o[0] = (float)k->sum(n, x));
    BOTH("dot", n, 1e-6f, o[0] = (float)k->dot(n, x, y));
    if (n > 0) BOTH("max", n, 0, o[0] = k->max(n, x); o[1] = (float)k->argmax(n, x));
    BOTH("adamw", n, 1e-5f,
         k->adamw(n, x, o, y, 0.5f, p, (fill(q, 0), q), 1e-2, 0.9, 0.999, 1e-8, 0.1, 3));
    BOTH("random", n, 0, k->random_uniform(n, 7, 9, 3, -1, 1, o));
    BOTH("normal", n, 0, k->random_normal(n, 7, 9, 3, 0, 1, o));
    BOTH("dropout", n, 0, k->dropout(n, 0.3f, 7, 9, 4, x, o));
  }
}

static void compare_rows(const lk_kernel_table *got, const lk_kernel_table *want) {
  const long n = 0;
  for (long rows = 1; rows < 10; rows += 2)
    for (long cols = 1; cols < 70; cols += 3) {
      const float cap = cols % 2 ? 0 : 1.5f;
      for (long i = 0; i < rows; i++) {  // row 2 sees nothing
        first[i] = (int32_t)(i * cols / rows / 2);
        end[i] = i == 2 ? first[i] : (int32_t)lk_smaller(cols, cols - rows + i + 2);
      }
      for (long i = 0; i < rows; i++) ids[i] = i % 3 == 2 ? -100 : (i * 7) % cols;
      BOTH("add row", n, 0, k->add_row(rows, cols, x, o));
      BOTH("sum rows", n, 1e-5f, k->sum_rows(rows, cols, x, o));
      BOTH("transpose", n, 0, k->transpose(rows, cols, x, o));
      BOTH("softmax", n, 1e-5f, k->softmax(rows, cols, x, o));
      BOTH("attention", n, 1e-5f,
           memcpy(o, x, sizeof x);
           k->attention_softmax(rows, cols, cols, first, end, 0, 0.3f, cap, 0.1f, y + rows, o, p));
      BOTH("attention block", n, 1e-5f,
           memcpy(o, x, sizeof x); double sum[16];
           for (long r = 0; r < rows; r++) {
             p[r] = r % 4 ? (float)r - 4 : -INFINITY;
             sum[r] = (double)(r % 4);
           }
           k->attention_exponentials(rows, cols, cols, first, end, 0, cap, 0.1f, y + rows, o, p, sum, q);
           k->attention_finish(rows, cols, x, p, sum, o + most / 2, cols + 1, q + 100));
      BOTH("attention gradients", n, 1e-4f,
           memcpy(o, x, sizeof x); memcpy(p, y, sizeof y);
           k->attention_gradients(rows, cols, cols, first, end, 0, cap, 0.1f, y + rows, o, p, y, x));
      BOTH("attention row", n, 1e-5f,
           k->attention_row(rows * 9, cols, x, y, cols, x, cols, 0.3f, cap, 0.1f, y, p, o));
      BOTH("panels", n, 0, k->pack_panels(rows, cols, x, cols + 1, o, 32 * rows);
           k->pack_panels_transposed(rows, cols, x, rows + 1, p, 32 * rows));
      for (int accumulate = 0; accumulate < 2; accumulate++)
        for (long m = 1; m < 20; m++)
          BOTH("panel product", m, 1e-5f,
               k->panel_product(m, cols, rows, x, m % 2 ? rows : 1, m % 2 ? 1 : m, y, 32 * rows,
                                accumulate, o, cols + 2));
      BOTH("loss gradient", n, 1e-5f, memcpy(o, x, sizeof x);
           k->cross_entropy_gradient(rows, cols, o, ids, 0.5f, p));
      BOTH("rmsnorm", n, 1e-5f, k->rmsnorm(rows, cols, x, y, 1e-6f, o, p);
           k->rmsnorm_backward(rows, cols, x, y, p, x + 100, q, false, p + 100));
      BOTH("layernorm", n, 1e-3f, k->layernorm(rows, cols, x, y, y, 1e-3f, o, p, q));
      BOTH("loss", n, 1e-5f, k->cross_entropy(rows, cols, x, ids, o, p); memcpy(q, x, sizeof x);
           k->cross_entropy_backward(rows, cols, q, ids, p, 0.5f));
      if (cols % 2 == 0)
        BOTH("rotary", n, 1e-5f,
             k->rotary(rows, 2, cols, cols, x, y, rows % 3 == 0, rows % 5 == 0, x, 2 * cols, o,
                       2 * cols));
      for (int accumulate = 0; accumulate < 2; accumulate++) {
        BOTH("gemv f32", n, 1e-5f, k->gemv_f32(rows, 9, cols, x, y, o, 11, accumulate));
        BOTH("gemv bf16", n, 1e-5f, want->bf16_from_f32(9 * cols, y, h1);
             k->gemv_bf16(rows, 9, cols, x, h1, o, 11, accumulate));
        BOTH("gemv f16", n, 1e-5f, want->f16_from_f32(9 * cols, y, h1);
             k->gemv_f16(rows, 9, cols, x, h1, o, 11, accumulate));
      }
    }
}

static lk_factor factor(const void *data, lk_element element, bool along, long rows, long depth) {
  return (lk_factor){data, element, along ? depth : 1, along ? 1 : rows};
}

static void product(const lk_kernel_table *k, lk_gemm g) {
  static uint32_t packed[most];
  static float tail[most];
  const long height = k->gemm_shape().rows, panels = (g.m + height - 1) / height;
  g.packed = packed, g.packed_tail = tail;
  const long middle = lk_smaller(g.n, k->gemm_shape().columns);
  const long together = g.chunks > 2 ? 2 : 1;
  for (g.first_chunk = 0; g.first_chunk < g.chunks; g.first_chunk = g.end_chunk) {
    g.end_chunk = lk_smaller(g.chunks, g.first_chunk + together);
    for (long panel = panels - 1; panel >= 0; panel--) {
      k->gemm_pack(&g, panel, panel + 1);
      k->gemm_pack_tails(&g, panel, panel + 1);
    }
    k->gemm_multiply(&g, 0, panels, 0, middle);
    k->gemm_multiply(&g, 0, panels, middle, g.n);
  }
}

static void compare_products(const lk_kernel_table *got, const lk_kernel_table *want) {
  want->bf16_from_f32(most, y, h1);
  want->f16_from_f32(most, y, h2);
  for (long rows = 1; rows < 27; rows++)
    for (long cols = 1; cols < 70; cols += 3)
      for (long depth = 1; depth < 70; depth = depth * 3 / 2 + 1)
        for (int kind = 0; kind < 6; kind++) {
          const lk_element element = (lk_element)(kind % 3);
          const void *b = element == LK_F32 ? (void *)y : element == LK_BF16 ? h1 : h2;
          const bool first = (rows + depth) % 2, second = (cols + depth) % 3 > 0;
          const lk_gemm_tail tail = {factor(y + 50, LK_F32, true, rows, 3),
                                     factor(x + 70, LK_F32, second, cols, 3), 3};
          BOTH("product", depth, 1e-4f,
               product(k, (lk_gemm){.m = rows, .n = cols, .k = depth, .chunks = 1 + depth / 20,
                                    .a = factor(x, LK_F32, first, rows, depth),
                                    .b = factor(b, element, second, cols, depth),
                                    .rounds = kind > 2, .tail_count = depth % 2,
                                    .tail_depth = depth % 2 * 3, .tails = &tail, .alpha = 0.5f,
                                    .beta = kind % 2 ? 0 : 2, .c = o, .ldc = cols + 1}));
        }
}

/// Blocks whose half-precision scales are finite: bytes below 64 make halves below 2.
static void compare_blocks(const lk_kernel_table *got, const lk_kernel_table *want) {
  static uint8_t blocks[2 * most];
  const lk_block_format formats[] = {LK_Q4_0, LK_Q4_1, LK_Q5_0, LK_Q5_1,
                                     LK_Q8_0, LK_Q4_K, LK_Q5_K, LK_Q6_K};
  const long cols = 0;
  for (long i = 0; i < 2 * most; i++) blocks[i] = (uint8_t)number(0, 64);
  for (int format = 0; format < 8; format++) {
    const lk_block_format f = formats[format];
    const long elements = lk_block_elements(f);
    for (long rows = 1; rows <= 4; rows++) {
      BOTH("dequantize", f, 0, k->dequantize(f, rows, blocks, o));
      BOTH("quantize", f, 0, k->quantize(f, rows, x, (uint8_t *)o));
      BOTH("gemv blocks", f, 1e-5f,
           k->gemv_blocks(f, rows, 7, 2 * elements, x, blocks, o, 9, rows % 2));
    }
  }
}

int main(int count, char **arguments) {
  const char *name = count > 1 ? arguments[1] : "";
  const lk_kernel_table *got = NULL;
  for (int family = 0; family <= LK_FAMILY_NEON; family++)
    if (strcmp(name, lk_family_name((lk_family)family)) == 0) got = lk_family_table(family);
  // Not every CPU that can run this says that it has the family.
  static lk_kernel_table table;
  const lk_family_kernels *wide[] = {&lk_avx512_kernels, &lk_avx512bf16_kernels};
  for (int i = 0; i < 2; i++)
    if (!got && strcmp(name, wide[i]->name) == 0) lk_fill_table(wide[i], &table), got = &table;
  const lk_kernel_table *want = lk_family_table(LK_FAMILY_REFERENCE);
  if (!got) return printf("no family '%s' in this build\n", name), 2;
  fill(x, most), fill(y, most);
  for (long i = 0; i < most; i++) z[i] = number(0, 1);
  compare_elements(got, want);
  compare_rows(got, want);
  compare_products(got, want);
  compare_blocks(got, want);
  printf("%s: %d comparisons, %d failures\n", name, comparisons, failures);
  return failures > 0;
}
