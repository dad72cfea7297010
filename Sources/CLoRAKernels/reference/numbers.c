// Reductions, the optimizer, random numbers, and matrix times vectors.
#include "reference.h"
#include "../random_math.h"

double lk_reference_sum(long n, const float *x) {
  double total = 0;
  for (long i = 0; i < n; i++) total += x[i];
  return total;
}

double lk_reference_sum_squares(long n, const float *x) { return lk_reference_dot(n, x, x); }

double lk_reference_dot(long n, const float *x, const float *y) {
  double total = 0;
  for (long i = 0; i < n; i++) total += (double)x[i] * y[i];
  return total;
}

float lk_reference_max(long n, const float *x) {
  float largest = -INFINITY;
  for (long i = 0; i < n; i++) {
    if (isnan(x[i])) return NAN;
    if (x[i] > largest) largest = x[i];
  }
  return largest;
}

long lk_reference_argmax(long n, const float *x) {
  long best = -1;
  for (long i = 0; i < n; i++)
    if (!isnan(x[i]) && (best < 0 || x[i] > x[best])) best = i;
  return best < 0 ? 0 : best;
}

long lk_reference_first_nonfinite_f32(long n, const float *x) {
  for (long i = 0; i < n; i++)
    if (!isfinite(x[i])) return i;
  return -1;
}

long lk_reference_first_nonfinite_bf16(long n, const uint16_t *x) {
  for (long i = 0; i < n; i++)
    if ((x[i] >> 7 & 0xff) == 0xff) return i;
  return -1;
}

long lk_reference_first_nonfinite_f16(long n, const uint16_t *x) {
  for (long i = 0; i < n; i++)
    if ((x[i] >> 10 & 0x1f) == 0x1f) return i;
  return -1;
}

void lk_reference_adamw(long n, const float *p, float *p_out, const float *g, float gradient_scale,
                        float *m, float *v, double lr, double beta1, double beta2, double eps,
                        double weight_decay, long step) {
  const double correction1 = 1 - pow(beta1, (double)step);
  const double correction2 = sqrt(1 - pow(beta2, (double)step));
  for (long i = 0; i < n; i++) {
    const double scaled = (double)g[i] * gradient_scale;
    const double mi = m[i] + (scaled - m[i]) * (1 - beta1);
    const double vi = beta2 * v[i] + (1 - beta2) * scaled * scaled;
    m[i] = (float)mi;
    v[i] = (float)vi;
    p_out[i] = (float)(p[i] * (1 - lr * weight_decay) -
                       lr / correction1 * mi / (sqrt(vi) / correction2 + eps));
  }
}

void lk_reference_lion(long n, const float *p, float *p_out, const float *g, float gradient_scale,
                       float *m, double lr, double beta1, double beta2, double weight_decay) {
  for (long i = 0; i < n; i++) {
    const double scaled = (double)g[i] * gradient_scale;
    const double direction = beta1 * m[i] + (1 - beta1) * scaled;
    const double sign = direction > 0 ? 1 : direction < 0 ? -1 : 0;
    m[i] = (float)(beta2 * m[i] + (1 - beta2) * scaled);
    p_out[i] = (float)(p[i] * (1 - lr * weight_decay) - lr * sign);
  }
}

/// The code of the value nearest to x, the lower of two.
static uint8_t nearest_code(const float *map, double x) {
  int best = 0;
  for (int code = 1; code < 256; code++)
    if (fabs(map[code] - x) < fabs(map[best] - x)) best = code;
  return (uint8_t)best;
}

void lk_reference_adamw_8bit(long n, const float *p, float *p_out, const float *g,
                             float gradient_scale, uint8_t *m, uint8_t *v, float *m_max,
                             float *v_max, const float *m_map, const float *v_map, double lr,
                             double beta1, double beta2, double eps, double weight_decay,
                             long step) {
  const double correction1 = 1 - pow(beta1, (double)step);
  const double correction2 = sqrt(1 - pow(beta2, (double)step));
  double mean[256], square[256], m_most = 0, v_most = 0;
  for (long i = 0; i < n; i++) {
    const double scaled = (double)g[i] * gradient_scale;
    const double old = (double)m_map[m[i]] * *m_max;
    mean[i] = old + (scaled - old) * (1 - beta1);
    square[i] = beta2 * v_map[v[i]] * *v_max + (1 - beta2) * scaled * scaled;
    m_most = fmax(m_most, fabs(mean[i]));
    v_most = fmax(v_most, square[i]);
    p_out[i] = (float)(p[i] * (1 - lr * weight_decay) -
                       lr / correction1 * mean[i] / (sqrt(square[i]) / correction2 + eps));
  }
  for (long i = 0; i < n; i++) {
    m[i] = nearest_code(m_map, m_most > 0 ? mean[i] / m_most : 0);
    v[i] = nearest_code(v_map, v_most > 0 ? square[i] / v_most : 0);
  }
  *m_max = (float)m_most;
  *v_max = (float)v_most;
}

void lk_reference_add_squares(long n, const float *g, float gradient_scale, double *sums) {
  for (long i = 0; i < n; i++) {
    const double scaled = (double)g[i] * gradient_scale;
    sums[i] += scaled * scaled;
  }
}

void lk_reference_adafactor_row(long n, const float *g, float gradient_scale, float row,
                                const float *columns, float floor, float *u) {
  for (long i = 0; i < n; i++)
    u[i] = (float)((double)g[i] * gradient_scale / sqrt(fmax((double)row * columns[i], floor)));
}

static uint32_t word(uint64_t seed, uint64_t stream, uint64_t first_block, long i) {
  return lk_philox(seed, stream, first_block + (uint64_t)(i / 4)).w[i % 4];
}

void lk_reference_random_bits(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                              uint32_t *out) {
  for (long i = 0; i < n; i++) out[i] = word(seed, stream, first_block, i);
}

void lk_reference_random_uniform(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                                 float low, float high, float *out) {
  const float span = high - low, below = nextafterf(high, low);
  for (long i = 0; i < n; i++)
    out[i] = lk_uniform(word(seed, stream, first_block, i), low, span, high, below);
}

void lk_reference_random_normal(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                                float mean, float deviation, float *out) {
  for (long i = 0; i < n; i++) {
    const long even = i & ~1L;
    float pair[2];
    lk_normal_pair(word(seed, stream, first_block, even), word(seed, stream, first_block, even + 1),
                   &pair[0], &pair[1]);
    out[i] = lk_normal_value(mean, deviation, pair[i & 1]);
  }
}

void lk_reference_dropout(long n, float p, uint64_t seed, uint64_t stream, uint64_t first,
                          const float *x, float *y) {
  const uint32_t threshold = lk_dropout_threshold(p);
  const float scale = 1.0f / (1.0f - p);
  for (long i = 0; i < n; i++) {
    const bool keep = word(seed, stream, first / 4, i) >> 8 >= threshold;
    y[i] = keep ? x[i] * scale : 0.0f;
  }
}

#define LK_REFERENCE_GEMV(name, type, widen)                                                    \
  void lk_reference_gemv_##name(long rows, long n, long k, const float *x, const type *w,       \
                                float *y, long ldy, bool accumulate) {                          \
    for (long r = 0; r < rows; r++)                                                             \
      for (long j = 0; j < n; j++) {                                                            \
        double total = accumulate ? y[r * ldy + j] : 0;                                         \
        for (long i = 0; i < k; i++) {                                                          \
          float weight;                                                                         \
          widen(1, w + j * k + i, &weight);                                                     \
          total += (double)x[r * k + i] * weight;                                               \
        }                                                                                       \
        y[r * ldy + j] = (float)total;                                                          \
      }                                                                                         \
  }

static void copy_f32(long n, const float *x, float *y) { memcpy(y, x, (size_t)n * sizeof *y); }

LK_REFERENCE_GEMV(f32, float, copy_f32)
LK_REFERENCE_GEMV(bf16, uint16_t, lk_reference_f32_from_bf16)
LK_REFERENCE_GEMV(f16, uint16_t, lk_reference_f32_from_f16)
