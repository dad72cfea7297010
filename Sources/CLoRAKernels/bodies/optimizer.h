// AdamW in one pass: 16 bytes read and 12 written an element.
#pragma once

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
