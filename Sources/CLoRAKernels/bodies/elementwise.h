// Arithmetic, element by element.
#pragma once

static void LK(fill)(long n, float value, float *y) {
  for (long i = 0; i < n; i++) y[i] = value;
}

static void LK(add)(long n, const float *x, const float *y, float *z) {
  LK_SIMD
  for (long i = 0; i < n; i++) z[i] = x[i] + y[i];
}

static void LK(sub)(long n, const float *x, const float *y, float *z) {
  LK_SIMD
  for (long i = 0; i < n; i++) z[i] = x[i] - y[i];
}

static void LK(mul)(long n, const float *x, const float *y, float *z) {
  LK_SIMD
  for (long i = 0; i < n; i++) z[i] = x[i] * y[i];
}

static void LK(div)(long n, const float *x, const float *y, float *z) {
  LK_SIMD
  for (long i = 0; i < n; i++) z[i] = x[i] / y[i];
}

static void LK(axpy)(long n, float a, const float *x, float *y) {
  LK_SIMD
  for (long i = 0; i < n; i++) y[i] += a * x[i];
}

static void LK(scale)(long n, float a, const float *x, float *y) {
  LK_SIMD
  for (long i = 0; i < n; i++) y[i] = a * x[i];
}

static void LK(axpby)(long n, float a, const float *x, float b, float *y) {
  if (b == 0.0f) {  // y may be uninitialized then
    LK(scale)(n, a, x, y);
    return;
  }
  LK_SIMD
  for (long i = 0; i < n; i++) y[i] = a * x[i] + b * y[i];
}

static void LK(add_scalar)(long n, float a, const float *x, float *y) {
  LK_SIMD
  for (long i = 0; i < n; i++) y[i] = x[i] + a;
}

static void LK(muladd)(long n, const float *x, const float *y, float *z) {
  LK_SIMD
  for (long i = 0; i < n; i++) z[i] += x[i] * y[i];
}
