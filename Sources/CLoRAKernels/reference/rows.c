// Matrices by rows and columns, softmax and attention.
#include "reference.h"

void lk_reference_add_row(long rows, long cols, const float *row, float *y) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) y[r * cols + c] += row[c];
}

void lk_reference_mul_row(long rows, long cols, const float *x, const float *row, float *y) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) y[r * cols + c] = x[r * cols + c] * row[c];
}

void lk_reference_sum_rows(long rows, long cols, const float *x, float *sum) {
  for (long c = 0; c < cols; c++) {
    double total = sum[c];
    for (long r = 0; r < rows; r++) total += x[r * cols + c];
    sum[c] = (float)total;
  }
}

void lk_reference_row_sums(long rows, long cols, const float *x, float *sum) {
  for (long r = 0; r < rows; r++) sum[r] = (float)lk_reference_sum(cols, x + r * cols);
}

void lk_reference_transpose(long rows, long cols, const float *x, float *y) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) y[c * rows + r] = x[r * cols + c];
}

void lk_reference_row_dots(long rows, long cols, const float *x, long ldx, const float *y, long ldy,
                           float *d) {
  for (long r = 0; r < rows; r++) d[r] = (float)lk_reference_dot(cols, x + r * ldx, y + r * ldy);
}

/// y = softmax(scale x) and the log of the sum of exponentials. Without anything to sum, zeros and
/// -infinity.
static double softmax_row(long n, double scale, const float *x, float *y) {
  double largest = -INFINITY, total = 0;
  for (long i = 0; i < n; i++)
    if (scale * x[i] > largest) largest = scale * x[i];
  if (largest == -INFINITY) largest = 0;
  for (long i = 0; i < n; i++) total += exp(scale * x[i] - largest);
  for (long i = 0; i < n; i++)
    y[i] = total == 0 ? 0 : (float)(exp(scale * x[i] - largest) / total);
  return largest + log(total);
}

void lk_reference_softmax(long rows, long cols, const float *x, float *y) {
  for (long r = 0; r < rows; r++) softmax_row(cols, 1, x + r * cols, y + r * cols);
}

void lk_reference_softmax_backward(long rows, long cols, const float *y, const float *dy,
                                   float *dx) {
  for (long r = 0; r < rows; r++) {
    const double dot = lk_reference_dot(cols, y + r * cols, dy + r * cols);
    for (long i = r * cols; i < (r + 1) * cols; i++) dx[i] = (float)(y[i] * (dy[i] - dot));
  }
}

static bool sees(long first, long end, long key) { return first <= key && key < end; }

/// A scaled score under a soft cap, less ALiBi's slope times the distance of its key to the last one,
/// with the bias at `place`.
static double shaped(double score, double cap, double slope, long distance, const float *bias,
                     long place) {
  return (cap > 0 ? cap * tanh(score / cap) : score) - slope * distance + (bias ? bias[place] : 0);
}

void lk_reference_attention_softmax(long rows, long cols, long stride, const int32_t *first,
                                    const int32_t *end, long first_key, float scale, float cap,
                                    float slope, const float *bias, float *s, float *lse) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    const long last = end[r] - 1 - first_key;
    double largest = -INFINITY, total = 0;
    for (long c = 0; c < cols; c++)
      if (sees(first[r], end[r], first_key + c))
        largest = fmax(largest, shaped((double)scale * row[c], cap, slope, last - c, bias, c - r));
    if (largest == -INFINITY) largest = 0;
    for (long c = 0; c < cols; c++)
      if (sees(first[r], end[r], first_key + c))
        total += exp(shaped((double)scale * row[c], cap, slope, last - c, bias, c - r) - largest);
    for (long c = 0; c < cols; c++) {
      const bool visible = sees(first[r], end[r], first_key + c) && total != 0;
      const double score =
          visible ? shaped((double)scale * row[c], cap, slope, last - c, bias, c - r) : 0;
      row[c] = visible ? (float)(exp(score - largest) / total) : 0;
    }
    if (lse) lse[r] = (float)(largest + log(total));
  }
}

void lk_reference_attention_exponentials(long rows, long cols, long stride, const int32_t *first,
                                         const int32_t *end, long first_key, float cap,
                                         float slope, const float *bias, float *s, float *largest,
                                         double *sum, float *factor) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    const long last = end[r] - 1 - first_key;
    const float before = largest[r];
    for (long c = 0; c < cols; c++)
      if (sees(first[r], end[r], first_key + c)) {
        row[c] = (float)shaped(row[c], cap, slope, last - c, bias, c - r);
        if (row[c] > largest[r]) largest[r] = row[c];
      }
    const double shift = largest[r] == -INFINITY ? 0 : largest[r];
    factor[r] = before == largest[r] ? 1 : (float)exp(before - shift);
    sum[r] *= factor[r];
    for (long c = 0; c < cols; c++) {
      const double e = sees(first[r], end[r], first_key + c) ? exp(row[c] - shift) : 0;
      sum[r] += e;
      row[c] = (float)e;
    }
  }
}

void lk_reference_attention_finish(long rows, long cols, const float *o, const float *largest,
                                   const double *sum, float *y, long ldy, float *lse) {
  for (long r = 0; r < rows; r++) {
    for (long c = 0; c < cols; c++)
      y[r * ldy + c] = sum[r] == 0 ? 0 : (float)(o[r * cols + c] / sum[r]);
    if (lse) lse[r] = (float)(largest[r] + log(sum[r]));
  }
}

void lk_reference_attention_gradients(long rows, long cols, long stride, const int32_t *first,
                                      const int32_t *end, long first_key, float cap,
                                      float slope, const float *bias, float *s, float *dp,
                                      const float *lse, const float *delta) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) {
      float *p = s + r * stride + c, *d = dp + r * stride + c;
      const bool visible = sees(first[r], end[r], first_key + c) && lse[r] != -INFINITY;
      const double t = cap > 0 ? tanh((double)*p / cap) : 0;
      const long distance = end[r] - 1 - first_key - c;
      const double e = visible ? exp(shaped(*p, cap, slope, distance, bias, c - r) - lse[r]) : 0;
      *p = (float)e;
      *d = visible ? (float)(e * ((double)*d - delta[r]) * (1 - t * t)) : 0;
    }
}

enum { panel = 32 };

void lk_reference_pack_panels(long rows, long cols, const float *x, long ldx, float *panels,
                              long panel_step) {
  for (long c = 0; c < (cols + panel - 1) / panel * panel; c++)
    for (long r = 0; r < rows; r++)
      panels[c / panel * panel_step + r * panel + c % panel] = c < cols ? x[r * ldx + c] : 0;
}

void lk_reference_pack_panels_transposed(long rows, long cols, const float *x, long ldx,
                                         float *panels, long panel_step) {
  for (long c = 0; c < (cols + panel - 1) / panel * panel; c++)
    for (long r = 0; r < rows; r++)
      panels[c / panel * panel_step + r * panel + c % panel] = c < cols ? x[c * ldx + r] : 0;
}

void lk_reference_panel_product(long m, long n, long k, const float *a, long row_step, long k_step,
                                const float *panels, long panel_step, bool accumulate, float *c,
                                long ldc) {
  for (long i = 0; i < m; i++)
    for (long j = 0; j < n; j++) {
      double sum = accumulate ? c[i * ldc + j] : 0;
      for (long l = 0; l < k; l++)
        sum += (double)a[i * row_step + l * k_step]
               * panels[j / panel * panel_step + l * panel + j % panel];
      c[i * ldc + j] = (float)sum;
    }
}

