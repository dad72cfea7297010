// Optimizers in one pass over the values.
#pragma once

// 16 bytes read and 12 written an element.
static void LK(adamw)(long n, const float *p, float *p_out, const float *g, float gradient_scale,
                      float *m, float *v, double lr, double beta1, double beta2, double eps,
                      double weight_decay, long step) {
  // As PyTorch: scalars in double, then rounded once.
  const float keep = (float)(1.0 - lr * weight_decay);
  const float blend = (float)(1.0 - beta1);
  const float decay = (float)beta2, add = (float)(1.0 - beta2);
  const float rate = (float)(lr / (1.0 - pow(beta1, (double)step)));
  const float correction = (float)sqrt(1.0 - pow(beta2, (double)step));
  const float floor = (float)eps;
  LK_SIMD
  for (long i = 0; i < n; i++) {
    const float gi = g[i] * gradient_scale;
    const float mi = m[i] + (gi - m[i]) * blend;
    const float vi = v[i] * decay + add * gi * gi;
    const float denominator = LK_SQRT(vi) / correction + floor;
    m[i] = mi;
    v[i] = vi;
    p_out[i] = p[i] * keep - rate * mi / denominator;
  }
}

static void LK(lion)(long n, const float *p, float *p_out, const float *g, float gradient_scale,
                     float *m, double lr, double beta1, double beta2, double weight_decay) {
  const float keep = (float)(1.0 - lr * weight_decay), rate = (float)lr;
  const float hold = (float)beta1, blend = (float)(1.0 - beta1);
  const float decay = (float)beta2, add = (float)(1.0 - beta2);
  LK_SIMD
  for (long i = 0; i < n; i++) {
    const float gi = g[i] * gradient_scale;
    const float direction = hold * m[i] + blend * gi;
    const float sign = (float)(direction > 0.0f) - (float)(direction < 0.0f);
    m[i] = decay * m[i] + add * gi;
    p_out[i] = p[i] * keep - rate * sign;
  }
}

// The code of the value nearest to x, which is not below the first of 256 ascending ones.
static inline int LK(nearest_code)(const float *map, float x) {
  int low = 0;
  for (int step = 128; step > 0; step >>= 1) low += map[low + step] <= x ? step : 0;
  const int high = low < 255 ? low + 1 : low;
  return map[high] - x < x - map[low] ? high : low;
}

static void LK(adamw_8bit)(long n, const float *p, float *p_out, const float *g,
                           float gradient_scale, uint8_t *m, uint8_t *v, float *m_max,
                           float *v_max, const float *m_map, const float *v_map, double lr,
                           double beta1, double beta2, double eps, double weight_decay,
                           long step) {
  const float keep = (float)(1.0 - lr * weight_decay);
  const float blend = (float)(1.0 - beta1);
  const float decay = (float)beta2, add = (float)(1.0 - beta2);
  const float rate = (float)(lr / (1.0 - pow(beta1, (double)step)));
  const float correction = (float)sqrt(1.0 - pow(beta2, (double)step));
  const float floor = (float)eps;
  float mean[256], square[256];
  float m_most = 0.0f, v_most = 0.0f;
  for (long i = 0; i < n; i++) {
    const float gi = g[i] * gradient_scale;
    const float old = m_map[m[i]] * *m_max;
    mean[i] = old + (gi - old) * blend;
    square[i] = v_map[v[i]] * *v_max * decay + add * gi * gi;
    const float size = mean[i] < 0.0f ? -mean[i] : mean[i];
    m_most = size > m_most ? size : m_most;
    v_most = square[i] > v_most ? square[i] : v_most;
  }
  LK_SIMD
  for (long i = 0; i < n; i++)
    p_out[i] = p[i] * keep - rate * mean[i] / (LK_SQRT(square[i]) / correction + floor);
  // Moments that are all zero have the code of zero and the largest magnitude 0.
  const float m_over = m_most > 0.0f ? m_most : 1.0f, v_over = v_most > 0.0f ? v_most : 1.0f;
  for (long i = 0; i < n; i++) {
    m[i] = (uint8_t)LK(nearest_code)(m_map, mean[i] / m_over);
    v[i] = (uint8_t)LK(nearest_code)(v_map, square[i] / v_over);
  }
  *m_max = m_most;
  *v_max = v_most;
}

static void LK(add_squares)(long n, const float *g, float gradient_scale, double *sums) {
  LK_SIMD
  for (long i = 0; i < n; i++) {
    const double gi = g[i] * gradient_scale;
    sums[i] += gi * gi;
  }
}

static void LK(adafactor_row)(long n, const float *g, float gradient_scale, float row,
                              const float *columns, float floor, float *u) {
  LK_SIMD
  for (long i = 0; i < n; i++) {
    const float square = row * columns[i];
    u[i] = g[i] * gradient_scale / LK_SQRT(square > floor ? square : floor);
  }
}
