// Conversions, arithmetic and functions of one element.
#include "reference.h"

void lk_reference_f32_from_bf16(long n, const uint16_t *x, float *y) {
  for (long i = 0; i < n; i++) y[i] = lk_float((uint32_t)x[i] << 16);
}

void lk_reference_bf16_from_f32(long n, const float *x, uint16_t *y) {
  for (long i = 0; i < n; i++) {
    const uint32_t bits = lk_bits(x[i]);
    uint32_t upper = bits >> 16;
    const uint32_t lower = bits & 0xffff;
    if (isnan(x[i])) {
      upper |= 0x40;
    } else if (lower > 0x8000 || (lower == 0x8000 && (upper & 1))) {
      upper += 1;
    }
    y[i] = (uint16_t)upper;
  }
}

void lk_reference_f32_from_f16(long n, const uint16_t *x, float *y) {
  for (long i = 0; i < n; i++) {
    const uint32_t sign = (uint32_t)(x[i] >> 15) << 31;
    const int exponent = x[i] >> 10 & 31, mantissa = x[i] & 1023;
    if (exponent == 31) {
      const uint32_t quiet = mantissa ? 0x400000 : 0;
      y[i] = lk_float(sign | 0x7f800000 | quiet | (uint32_t)mantissa << 13);
    } else {
      const double magnitude =
          exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
      y[i] = (float)(sign ? -magnitude : magnitude);
    }
  }
}

void lk_reference_f16_from_f32(long n, const float *x, uint16_t *y) {
  for (long i = 0; i < n; i++) {
    const uint32_t bits = lk_bits(x[i]);
    const uint16_t sign = (uint16_t)(bits >> 31 << 15);
    const double magnitude = fabs((double)x[i]);
    if (isnan(x[i])) {
      y[i] = (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    } else if (magnitude == 0.0) {
      y[i] = sign;
    } else if (magnitude >= 65520.0) {  // half way between the largest number and the next
      y[i] = sign | 0x7c00;
    } else {
      int exponent;
      frexp(magnitude, &exponent);         // magnitude in [2^(exponent-1), 2^exponent)
      if (exponent < -13) exponent = -13;  // subnormals share the smallest exponent
      // In units of the last place; rint rounds to nearest even. A carry into the next exponent
      // comes out right, because the formats of neighbouring exponents join.
      const uint16_t units = (uint16_t)rint(ldexp(magnitude, 11 - exponent));
      y[i] = (uint16_t)(sign | (units + ((exponent + 13) << 10)));
    }
  }
}

void lk_reference_fill(long n, float value, float *y) {
  for (long i = 0; i < n; i++) y[i] = value;
}

void lk_reference_add(long n, const float *x, const float *y, float *z) {
  for (long i = 0; i < n; i++) z[i] = x[i] + y[i];
}

void lk_reference_sub(long n, const float *x, const float *y, float *z) {
  for (long i = 0; i < n; i++) z[i] = x[i] - y[i];
}

void lk_reference_mul(long n, const float *x, const float *y, float *z) {
  for (long i = 0; i < n; i++) z[i] = x[i] * y[i];
}

void lk_reference_div(long n, const float *x, const float *y, float *z) {
  for (long i = 0; i < n; i++) z[i] = x[i] / y[i];
}

void lk_reference_axpy(long n, float a, const float *x, float *y) {
  for (long i = 0; i < n; i++) y[i] = (float)((double)a * x[i] + y[i]);
}

void lk_reference_axpby(long n, float a, const float *x, float b, float *y) {
  for (long i = 0; i < n; i++)
    y[i] = b == 0.0f ? a * x[i] : (float)((double)a * x[i] + (double)b * y[i]);
}

void lk_reference_scale(long n, float a, const float *x, float *y) {
  for (long i = 0; i < n; i++) y[i] = a * x[i];
}

void lk_reference_add_scalar(long n, float a, const float *x, float *y) {
  for (long i = 0; i < n; i++) y[i] = x[i] + a;
}

void lk_reference_muladd(long n, const float *x, const float *y, float *z) {
  for (long i = 0; i < n; i++) z[i] = (float)((double)x[i] * y[i] + z[i]);
}

static const double root_half = 0.70710678118654752;         // 1 / sqrt(2)
static const double density_at_zero = 0.39894228040143268;   // 1 / sqrt(2 pi)
static const double root_two_over_pi = 0.79788456080286536;  // sqrt(2 / pi)

// Without overflow and without a difference on either side of zero.
static double sigmoid(double x) {
  const double e = exp(-fabs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static double gelu_tanh_argument(double x) { return root_two_over_pi * (x + 0.044715 * x * x * x); }

static double value(lk_unary op, double x) {
  switch (op) {
    case LK_EXP: return exp(x);
    case LK_LOG: return log(x);
    case LK_SQRT: return sqrt(x);
    case LK_RSQRT: return 1 / sqrt(x);
    case LK_SQUARE: return x * x;
    case LK_TANH: return tanh(x);
    case LK_SIGMOID: return sigmoid(x);
    case LK_RELU: return x < 0 ? 0 : x;
    // These three are infinity times zero at -infinity; their limit is zero.
    case LK_SILU: return x == -INFINITY ? 0 : x * sigmoid(x);
    case LK_GELU: return x == -INFINITY ? 0 : x * 0.5 * erfc(-x * root_half);
    case LK_GELU_TANH: return x == -INFINITY ? 0 : x * sigmoid(2 * gelu_tanh_argument(x));
    case LK_UNARY_COUNT: break;
  }
  return NAN;
}

static double slope(lk_unary op, double x) {
  switch (op) {
    case LK_EXP: return exp(x);
    case LK_LOG: return 1 / x;
    case LK_SQRT: return 0.5 / sqrt(x);
    case LK_RSQRT: return -0.5 * pow(1 / sqrt(x), 3);
    case LK_SQUARE: return 2 * x;
    case LK_TANH: {
      const double e = exp(-2 * fabs(x));
      return 4 * e / ((1 + e) * (1 + e));
    }
    case LK_SIGMOID: return sigmoid(x) * sigmoid(-x);
    case LK_RELU: return x > 0 ? 1 : 0;
    case LK_SILU:
      if (isinf(x)) return x > 0 ? 1 : 0;
      return sigmoid(x) * (1 + x * sigmoid(-x));
    case LK_GELU:
      if (isinf(x)) return x > 0 ? 1 : 0;
      return 0.5 * erfc(-x * root_half) + x * density_at_zero * exp(-0.5 * x * x);
    case LK_GELU_TANH: {
      if (fabs(x) > 1e3) return x > 0 ? 1 : 0;  // beyond, the cube leaves the range of the rest
      const double w = 2 * gelu_tanh_argument(x);
      const double dw = 2 * root_two_over_pi * (1 + 3 * 0.044715 * x * x);
      return sigmoid(w) * (1 + x * dw * sigmoid(-w));
    }
    case LK_UNARY_COUNT: break;
  }
  return NAN;
}

void lk_reference_unary_forward(lk_unary op, long n, const float *x, float *y) {
  for (long i = 0; i < n; i++) y[i] = (float)value(op, x[i]);
}

void lk_reference_unary_backward(lk_unary op, long n, const float *x, const float *dy, float *dx,
                                 bool accumulate) {
  for (long i = 0; i < n; i++) {
    const double d = dy[i] * slope(op, x[i]);
    dx[i] = (float)(accumulate ? dx[i] + d : d);
  }
}

void lk_reference_gated_forward(lk_unary op, long n, const float *gate, const float *up, float *y) {
  for (long i = 0; i < n; i++) y[i] = (float)(value(op, gate[i]) * up[i]);
}

void lk_reference_gated_backward(lk_unary op, long n, const float *gate, const float *up,
                                 const float *dy, float *dgate, float *dup) {
  for (long i = 0; i < n; i++) {
    const double g = gate[i], u = up[i], d = dy[i];
    if (dgate) dgate[i] = (float)(d * u * slope(op, g));
    if (dup) dup[i] = (float)(d * value(op, g));
  }
}

void lk_reference_clamped_gate_forward(long n, float alpha, float limit, const float *z, float *y) {
  for (long i = 0; i < n; i++) {
    const double g = fmin(z[2 * i], limit), u = fmax(fmin(z[2 * i + 1], limit), -limit);
    y[i] = (float)((u + 1) * g / (1 + exp(-alpha * g)));
  }
}

void lk_reference_clamped_gate_backward(long n, float alpha, float limit, const float *z,
                                        const float *dy, float *dz) {
  for (long i = 0; i < n; i++) {
    const double a = z[2 * i], v = z[2 * i + 1], d = dy[i];
    const double g = fmin(a, limit), u = fmax(fmin(v, limit), -limit);
    const double s = 1 / (1 + exp(-alpha * g));
    dz[2 * i] = (float)(a > limit ? 0 : d * (u + 1) * (s + alpha * g * s * (1 - s)));
    dz[2 * i + 1] = (float)(fabs(v) > limit ? 0 : d * g * s);
  }
}

long lk_reference_float_chains(long rounds, float *sink) {
  float x = 1;
  for (long r = 0; r < rounds; r++) x = x * sink[0] + sink[1];
  sink[2] = x;
  return 2 * rounds;
}

long lk_reference_bfloat16_chains(long rounds, float *sink) {
  return lk_reference_float_chains(rounds, sink);
}
