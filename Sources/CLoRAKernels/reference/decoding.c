// The kernels of decoding that are not products with weights.
#include "reference.h"

void lk_reference_attention_row(long keys, long size, const float *q, const float *k, long ldk,
                                const float *v, long ldv, float scale, float cap, float slope,
                                const float *bias, float *scores, float *out) {
  double largest = -INFINITY, total = 0.0;
  for (long s = 0; s < keys; s++) {
    double dot = 0.0;
    for (long c = 0; c < size; c++) dot += (double)q[c] * k[s * ldk + c];
    const double score = cap > 0 ? cap * tanh(dot * scale / cap) : dot * scale;
    scores[s] = (float)(score - (double)slope * (keys - 1 - s) + (bias ? bias[s] : 0));
    largest = fmax(largest, scores[s]);
  }
  for (long s = 0; s < keys; s++) total += exp(scores[s] - largest);
  for (long s = 0; s < keys; s++) scores[s] = (float)(exp(scores[s] - largest) / total);
  for (long c = 0; c < size; c++) {
    double sum = 0.0;
    for (long s = 0; s < keys; s++) sum += (double)scores[s] * v[s * ldv + c];
    out[c] = (float)sum;
  }
}
