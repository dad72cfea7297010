// Norms, rotary embedding, embedding rows and the loss.
#include "reference.h"

void lk_reference_rmsnorm(long rows, long cols, const float *x, const float *weight, float eps,
                          float *y, float *inv) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols;
    const double factor = 1 / sqrt(lk_reference_sum_squares(cols, xr) / (double)cols + eps);
    for (long c = 0; c < cols; c++) y[r * cols + c] = (float)(xr[c] * factor * weight[c]);
    if (inv) inv[r] = (float)factor;
  }
}

void lk_reference_rmsnorm_backward(long rows, long cols, const float *x, const float *weight,
                                   const float *inv, const float *dy, float *dx, bool accumulate,
                                   float *dweight) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols, *dyr = dy + r * cols;
    const double factor = inv[r];
    double mean = 0;
    for (long c = 0; c < cols; c++)
      mean += (double)dyr[c] * weight[c] * xr[c] * factor / (double)cols;
    for (long c = 0; c < cols; c++) {
      if (dweight) dweight[c] = (float)(dweight[c] + dyr[c] * (xr[c] * factor));
      const double d = factor * ((double)dyr[c] * weight[c] - xr[c] * factor * mean);
      if (dx) dx[r * cols + c] = (float)(accumulate ? dx[r * cols + c] + d : d);
    }
  }
}

void lk_reference_layernorm(long rows, long cols, const float *x, const float *weight,
                            const float *bias, float eps, float *y, float *mean, float *inv) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols;
    const double centre = lk_reference_sum(cols, xr) / (double)cols;
    double variance = 0;
    for (long c = 0; c < cols; c++) variance += (xr[c] - centre) * (xr[c] - centre) / (double)cols;
    const double factor = 1 / sqrt(variance + eps);
    for (long c = 0; c < cols; c++)
      y[r * cols + c] = (float)((xr[c] - centre) * factor * weight[c] + (bias ? bias[c] : 0));
    if (mean) mean[r] = (float)centre;
    if (inv) inv[r] = (float)factor;
  }
}

void lk_reference_layernorm_backward(long rows, long cols, const float *x, const float *weight,
                                     const float *mean, const float *inv, const float *dy,
                                     float *dx, bool accumulate, float *dweight, float *dbias) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols, *dyr = dy + r * cols;
    const double centre = mean[r], factor = inv[r];
    double first = 0, second = 0;
    for (long c = 0; c < cols; c++) {
      const double g = (double)dyr[c] * weight[c];
      first += g / (double)cols;
      second += g * (xr[c] - centre) * factor / (double)cols;
    }
    for (long c = 0; c < cols; c++) {
      const double u = (xr[c] - centre) * factor;
      if (dweight) dweight[c] = (float)(dweight[c] + dyr[c] * u);
      if (dbias) dbias[c] += dyr[c];
      const double d = factor * ((double)dyr[c] * weight[c] - first - u * second);
      if (dx) dx[r * cols + c] = (float)(accumulate ? dx[r * cols + c] + d : d);
    }
  }
}

void lk_reference_rotary(long rows, long heads, long dim, long rotary, const float *cosines,
                         const float *sines, bool adjacent, bool inverse, const float *x, long ldx,
                         float *y, long ldy) {
  const long half = rotary / 2;
  for (long r = 0; r < rows; r++)
    for (long h = 0; h < heads; h++) {
      const float *from = x + r * ldx + h * dim;
      float *to = y + r * ldy + h * dim;
      for (long i = 0; i < half; i++) {
        const long first = adjacent ? 2 * i : i, second = adjacent ? 2 * i + 1 : i + half;
        const double a = from[first], b = from[second], cosine = cosines[r * half + i];
        const double sine = inverse ? -sines[r * half + i] : sines[r * half + i];
        to[first] = (float)(a * cosine - b * sine);
        to[second] = (float)(a * sine + b * cosine);
      }
      for (long i = 2 * half; i < dim; i++) to[i] = from[i];
    }
}

void lk_reference_gather_f32(long rows, long cols, const float *table, const int64_t *ids,
                             float *y) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) y[r * cols + c] = table[(long)ids[r] * cols + c];
}

void lk_reference_gather_bf16(long rows, long cols, const uint16_t *table, const int64_t *ids,
                              float *y) {
  for (long r = 0; r < rows; r++)
    lk_reference_f32_from_bf16(cols, table + (long)ids[r] * cols, y + r * cols);
}

void lk_reference_gather_f16(long rows, long cols, const uint16_t *table, const int64_t *ids,
                             float *y) {
  for (long r = 0; r < rows; r++)
    lk_reference_f32_from_f16(cols, table + (long)ids[r] * cols, y + r * cols);
}

void lk_reference_scatter_add(long rows, long cols, const float *dy, const int64_t *ids,
                              float *table) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) table[(long)ids[r] * cols + c] += dy[r * cols + c];
}

static double log_sum_exp(long n, const float *x) {
  double largest = -INFINITY, total = 0;
  for (long i = 0; i < n; i++)
    if (x[i] > largest) largest = x[i];
  if (largest == -INFINITY) largest = 0;
  for (long i = 0; i < n; i++) total += exp(x[i] - largest);
  return largest + log(total);
}

void lk_reference_cross_entropy(long rows, long cols, const float *logits, const int64_t *targets,
                                float *loss, float *lse) {
  for (long r = 0; r < rows; r++) {
    const double sum = log_sum_exp(cols, logits + r * cols);
    if (lse) lse[r] = (float)sum;
    loss[r] = targets[r] < 0 ? 0 : (float)(sum - logits[r * cols + targets[r]]);
  }
}

void lk_reference_cross_entropy_gradient(long rows, long cols, float *logits,
                                         const int64_t *targets, float scale, float *loss) {
  for (long r = 0; r < rows; r++) {
    float lse;
    lk_reference_cross_entropy(1, cols, logits + r * cols, targets + r, loss + r, &lse);
    lk_reference_cross_entropy_backward(1, cols, logits + r * cols, targets + r, &lse, scale);
  }
}

void lk_reference_cross_entropy_backward(long rows, long cols, float *logits,
                                         const int64_t *targets, const float *lse, float scale) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) {
      float *x = logits + r * cols + c;
      const double p = exp((double)*x - lse[r]);
      *x = targets[r] < 0 ? 0 : (float)((p - (c == targets[r])) * scale);
    }
}
