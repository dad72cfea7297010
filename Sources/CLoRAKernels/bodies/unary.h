// Functions of one element and their derivatives, alone and as the gate of a gated unit.
#pragma once
#include "functions.h"

// One loop over y[i] = expression(v), v = x[i].
#define LK_MAP(expression)                                   \
  LK_SIMD                                                    \
  for (long i = 0; i < n; i++) {                             \
    const float v = x[i];                                    \
    y[i] = (expression);                                     \
  }                                                          \
  break

static void LK(unary_forward)(lk_unary op, long n, const float *x, float *y) {
  switch (op) {
    case LK_EXP: LK_MAP(LK(expf)(v));
    case LK_LOG: LK_MAP(LK(logf)(v));
    case LK_SQRT: LK_MAP(LK_SQRT(v));
    case LK_RSQRT: LK_MAP(1.0f / LK_SQRT(v));
    case LK_SQUARE: LK_MAP(v * v);
    case LK_TANH: LK_MAP(LK(tanhf)(v));
    case LK_SIGMOID: LK_MAP(LK(sigmoid)(v));
    case LK_RELU: LK_MAP(v < 0.0f ? 0.0f : v);
    case LK_SILU: LK_MAP(LK(silu)(v));
    case LK_GELU: LK_MAP(LK(gelu)(v));
    case LK_GELU_TANH: LK_MAP(LK(gelu_tanh)(v));
    case LK_UNARY_COUNT: break;
  }
}

LK_INLINE float LK(rsqrt_slope)(float x) {
  const float r = 1.0f / LK_SQRT(x);
  return -0.5f * r * r * r;
}

/// 1 - tanh²(x) = 4 e / (1 + e)², e = e^-2|x|: without the difference, which loses its digits.
LK_INLINE float LK(tanh_slope)(float x) {
  const float e = LK(exp_negative)(2.0f * x);
  const float d = 1.0f + e;
  return 4.0f * e / (d * d);
}

LK_INLINE float LK(sigmoid_slope)(float x) {
  const float e = LK(exp_negative)(x);
  const float d = 1.0f + e;
  return e / (d * d);
}

// dx[i] (+)= dy[i] slope(v). The branch on `accumulate` stands outside the loop.
#define LK_SLOPE(slope)                                      \
  if (accumulate) {                                          \
    LK_SIMD                                                  \
    for (long i = 0; i < n; i++) {                           \
      const float v = x[i];                                  \
      dx[i] += dy[i] * (slope);                              \
    }                                                        \
  } else {                                                   \
    LK_SIMD                                                  \
    for (long i = 0; i < n; i++) {                           \
      const float v = x[i];                                  \
      dx[i] = dy[i] * (slope);                               \
    }                                                        \
  }                                                          \
  break

static void LK(unary_backward)(lk_unary op, long n, const float *x, const float *dy, float *dx,
                               bool accumulate) {
  switch (op) {
    case LK_EXP: LK_SLOPE(LK(expf)(v));
    case LK_LOG: LK_SLOPE(1.0f / v);
    case LK_SQRT: LK_SLOPE(0.5f / LK_SQRT(v));
    case LK_RSQRT: LK_SLOPE(LK(rsqrt_slope)(v));
    case LK_SQUARE: LK_SLOPE(2.0f * v);
    case LK_TANH: LK_SLOPE(LK(tanh_slope)(v));
    case LK_SIGMOID: LK_SLOPE(LK(sigmoid_slope)(v));
    case LK_RELU: LK_SLOPE(v > 0.0f ? 1.0f : 0.0f);
    case LK_SILU: LK_SLOPE(LK(silu_slope)(v));
    case LK_GELU: LK_SLOPE(LK(gelu_slope)(v));
    case LK_GELU_TANH: LK_SLOPE(LK(gelu_tanh_slope)(v));
    case LK_UNARY_COUNT: break;
  }
}

#define LK_GATE(function)                                    \
  LK_SIMD                                                    \
  for (long i = 0; i < n; i++) {                             \
    const float v = gate[i];                                 \
    y[i] = function(v) * up[i];                              \
  }

static void LK(gated_forward)(lk_unary op, long n, const float *gate, const float *up, float *y) {
  if (op == LK_SILU) {
    LK_GATE(LK(silu))
  } else if (op == LK_GELU) {
    LK_GATE(LK(gelu))
  } else if (op == LK_GELU_TANH) {
    LK_GATE(LK(gelu_tanh))
  }
}

// Both gradients from one visit; either alone where only one is asked for. All inputs of an element
// are read before either output is written, so that the outputs may stand in their places.
#define LK_GATE_SLOPE(function, slope)                       \
  if (dgate && dup) {                                        \
    LK_SIMD                                                  \
    for (long i = 0; i < n; i++) {                           \
      const float v = gate[i], u = up[i], d = dy[i];         \
      dgate[i] = d * u * slope(v);                           \
      dup[i] = d * function(v);                              \
    }                                                        \
  } else if (dgate) {                                        \
    LK_SIMD                                                  \
    for (long i = 0; i < n; i++) {                           \
      const float v = gate[i];                               \
      dgate[i] = dy[i] * up[i] * slope(v);                   \
    }                                                        \
  } else if (dup) {                                          \
    LK_SIMD                                                  \
    for (long i = 0; i < n; i++) {                           \
      const float v = gate[i];                               \
      dup[i] = dy[i] * function(v);                          \
    }                                                        \
  }

static void LK(gated_backward)(lk_unary op, long n, const float *gate, const float *up,
                               const float *dy, float *dgate, float *dup) {
  if (op == LK_SILU) {
    LK_GATE_SLOPE(LK(silu), LK(silu_slope))
  } else if (op == LK_GELU) {
    LK_GATE_SLOPE(LK(gelu), LK(gelu_slope))
  } else if (op == LK_GELU_TANH) {
    LK_GATE_SLOPE(LK(gelu_tanh), LK(gelu_tanh_slope))
  }
}

static void LK(clamped_gate_forward)(long n, float alpha, float limit, const float *z, float *y) {
  for (long i = 0; i < n; i++) {
    const float g = z[2 * i] > limit ? limit : z[2 * i], v = z[2 * i + 1];
    const float u = v > limit ? limit : v < -limit ? -limit : v;
    y[i] = (u + 1.0f) * (g * LK(sigmoid)(alpha * g));
  }
}

static void LK(clamped_gate_backward)(long n, float alpha, float limit, const float *z,
                                      const float *dy, float *dz) {
  for (long i = 0; i < n; i++) {
    const float a = z[2 * i], v = z[2 * i + 1], d = dy[i];
    const float g = a > limit ? limit : a;
    const float u = v > limit ? limit : v < -limit ? -limit : v;
    const float s = LK(sigmoid)(alpha * g);
    dz[2 * i] = a > limit ? 0.0f : d * (u + 1.0f) * (s + alpha * g * s * (1.0f - s));
    dz[2 * i + 1] = v > limit || v < -limit ? 0.0f : d * g * s;
  }
}
