// Exponential, logarithm and what is made of them, one element at a time and without a branch, so
// that a loop over them becomes vector code. The coefficients are minimax fits of ours (Remez
// exchange, relative error below 5e-9 before rounding).
#pragma once

#define LK_LOG2E 1.44269504f
#define LK_LN2_HIGH 0.693359375f  // nine bits: its product with an exponent is exact
#define LK_LN2_LOW -2.12194440e-4f
#define LK_EXP_LOWEST -125.0f  // e^-125 times any factor that occurs here is zero in float32
#define LK_EXP_NORMAL -87.3365448f  // e^that is the smallest normal number
#define LK_EXP_HIGHEST 89.0f   // e^89 is infinity in float32

/// A power of two as a product, so that its exponent may leave the range of one float:
/// e^x = mantissa * high * low, mantissa near 1. A factor that goes to the mantissa first keeps its
/// precision where e^x alone is subnormal.
typedef struct LK(exponential) {
  float mantissa, high, low;
} LK(exponential);

/// e^(x + rest), for x between LK_EXP_LOWEST and LK_EXP_HIGHEST, or NaN. |rest| is below 1e-4.
LK_INLINE LK(exponential) LK(exp_parts)(float x, float rest) {
  // Adding 1.5 2^23 rounds to an integer, which then stands in the low bits; unlike a conversion,
  // that is defined for NaN too.
  const float shifted = x * LK_LOG2E + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * LK_LN2_HIGH;
  r = r - n * LK_LN2_LOW;
  r = r + rest;
  float q = 0.00138133718f;
  q = q * r + 0.00836941134f;
  q = q * r + 0.0416684523f;
  q = q * r + 0.166665152f;
  q = q * r + 0.49999994f;
  const float square = r * r;
  const int32_t exponent = (int32_t)(lk_bits(shifted) - 0x4b400000u);
  const int32_t half = exponent >> 1;
  LK(exponential) e;
  e.mantissa = (q * square + r) + 1.0f;
  e.high = lk_float((uint32_t)(half + 127) << 23);
  e.low = lk_float((uint32_t)(exponent - half + 127) << 23);
  return e;
}

LK_INLINE float LK(expf)(float x) {
  float clamped = x > LK_EXP_HIGHEST ? LK_EXP_HIGHEST : x;
  clamped = clamped < LK_EXP_LOWEST ? LK_EXP_LOWEST : clamped;
  const LK(exponential) e = LK(exp_parts)(clamped, 0.0f);
  return e.mantissa * e.high * e.low;
}

/// e^x for x that is never much above 0, as a logit without the logarithm of its row's sum: one
/// power of two, a third less work than `expf`. What would be subnormal is 0; NaN stays NaN.
LK_INLINE float LK(exp_below)(float x) {
  const float shifted = x * LK_LOG2E + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * LK_LN2_HIGH;
  r = r - n * LK_LN2_LOW;
  float q = 0.00138133718f * r + 0.00836941134f;
  q = q * r + 0.0416684523f;
  q = q * r + 0.166665152f;
  q = q * r + 0.49999994f;
  const float mantissa = (q * (r * r) + r) + 1.0f;
  const float e = mantissa * lk_float((lk_bits(shifted) << 23) + 0x3f800000u);
  return x < LK_EXP_NORMAL ? 0.0f : e;
}

/// e^-|x|: never above 1.
LK_INLINE float LK(exp_negative)(float x) {
  const float a = -fabsf(x);
  const LK(exponential) e = LK(exp_parts)(a < LK_EXP_LOWEST ? LK_EXP_LOWEST : a, 0.0f);
  return e.mantissa * e.high * e.low;
}

LK_INLINE float LK(logf)(float x) {
  const bool tiny = x < 1.17549435e-38f;  // subnormal: scaled by 2^25
  const float scaled = tiny ? x * 33554432.0f : x;
  // m in [sqrt(1/2), sqrt(2)), x = m 2^exponent
  const uint32_t shifted = lk_bits(scaled) - 0x3f3504f3u;
  const int32_t exponent = ((int32_t)shifted >> 23) - (tiny ? 25 : 0);
  const float m = lk_float((shifted & 0x007fffffu) + 0x3f3504f3u);
  // log m = 2 artanh(s), s = f / (2 + f), arranged so that f itself carries the leading digits
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  float q = 0.235815287f;
  q = q * z + 0.285373479f;
  q = q * z + 0.400003344f;
  q = q * z + 0.666666627f;
  const float half_square = 0.5f * f * f;
  const float n = (float)exponent;
  const float correction = s * (half_square + q * z) + n * LK_LN2_LOW;
  float y = n * LK_LN2_HIGH + (f - (half_square - correction));
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  y = x < 0.0f ? NAN : y;
  return x != x ? x : y;
}

LK_INLINE float LK(tanhf)(float x) {
  const float a = fabsf(x);
  const float e = LK(exp_negative)(2.0f * a);
  const float far = copysignf((1.0f - e) / (1.0f + e), x);
  const float z = x * x;
  float q = -0.00571762118f;
  q = q * z + 0.0206512306f;
  q = q * z + -0.0537437461f;
  q = q * z + 0.133314952f;
  q = q * z + -0.333332837f;
  const float near = x + x * (z * q);
  return a < 0.625f ? near : far;
}

LK_INLINE float LK(sigmoid)(float x) {
  const float e = LK(exp_negative)(x);
  const float s = 1.0f / (1.0f + e);
  return x < 0.0f ? e * s : s;
}

/// The limit at -infinity is zero: beyond LK_EXP_LOWEST x counts as that.
LK_INLINE float LK(silu)(float x) {
  const float low = -fabsf(x);
  const LK(exponential) e = LK(exp_parts)(low < LK_EXP_LOWEST ? LK_EXP_LOWEST : low, 0.0f);
  const float bounded = x < LK_EXP_LOWEST ? LK_EXP_LOWEST : x;
  const float s = bounded / (1.0f + e.mantissa * e.high * e.low);
  return x < 0.0f ? s * e.mantissa * e.high * e.low : s;
}

/// f'(x) = s (1 + x (1 - s)), s = sigmoid(x). The exponential is the one of `silu`, so that a loop
/// with both computes it once.
LK_INLINE float LK(silu_slope)(float x) {
  const float e = LK(exp_negative)(x);
  const float above = 1.0f / (1.0f + e), below = e * above;
  float bounded = x < LK_EXP_LOWEST ? LK_EXP_LOWEST : x;
  bounded = bounded > -LK_EXP_LOWEST ? -LK_EXP_LOWEST : bounded;
  const float s = x < 0.0f ? below : above, rest = x < 0.0f ? above : below;
  return s * (1.0f + bounded * rest);
}

/// Phi(-a) = e^(-a²/2) tail(a), for a >= 0: the normal distribution's upper tail without its
/// exponential, as a polynomial in 1 / (1 + 0.3 a).
LK_INLINE float LK(normal_tail)(float a) {
  const float t = 1.0f / (1.0f + 0.3f * a);
  float q = -0.0206286274f;
  q = q * t + 0.112464614f;
  q = q * t + -0.228284359f;
  q = q * t + 0.191882715f;
  q = q * t + -0.079508692f;
  q = q * t + 0.0962046683f;
  q = q * t + 0.0783723071f;
  q = q * t + 0.110239327f;
  q = q * t + 0.119571321f;
  q = q * t + 0.119686715f;
  return q * t;
}

/// e^(-a²/2), 0 <= a <= 15. The square is formed in double: its rounding in float32 would be 100
/// roundings of the result at a = 14.
LK_INLINE LK(exponential) LK(gauss)(float a) {
  const double d = (double)a;
  const double exponent = -0.5 * d * d;
  const float high = (float)exponent;
  return LK(exp_parts)(high, (float)(exponent - (double)high));
}

/// x Phi(x) = max(x, 0) - |x| Phi(-|x|)
LK_INLINE float LK(gelu)(float x) {
  float a = fabsf(x);
  a = a > 15.0f ? 15.0f : a;
  const LK(exponential) e = LK(gauss)(a);
  const float low = a * LK(normal_tail)(a) * e.mantissa * e.high * e.low;
  return (x > 0.0f ? x : 0.0f) - low;
}

/// f'(x) = Phi(x) + x phi(x)
LK_INLINE float LK(gelu_slope)(float x) {
  float a = fabsf(x);
  a = a > 15.0f ? 15.0f : a;
  const LK(exponential) e = LK(gauss)(a);
  // x > 0: 1 - (tail - a density); x < 0: tail - a density
  const float low = (LK(normal_tail)(a) - a * 0.398942280f) * e.mantissa * e.high * e.low;
  return x > 0.0f ? 1.0f - low : low;
}

/// x sigmoid(w), w = x (c1 + c3 x²): what 0.5 x (1 + tanh(w / 2)) is. w in double, as in `gauss`.
#define LK_GELU_C1 1.5957691216057308
#define LK_GELU_C3 0.07135481627260025

LK_INLINE LK(exponential) LK(gelu_tanh_exp)(float a) {
  const double d = (double)a;
  const double exponent = -d * (LK_GELU_C1 + LK_GELU_C3 * d * d);
  const float high = (float)exponent;
  const float rest = (float)(exponent - (double)high);
  const bool beyond = high < LK_EXP_LOWEST;
  return LK(exp_parts)(beyond ? LK_EXP_LOWEST : high, beyond ? 0.0f : rest);
}

LK_INLINE float LK(gelu_tanh)(float x) {
  float a = fabsf(x);
  a = a > 15.0f ? 15.0f : a;
  const LK(exponential) e = LK(gelu_tanh_exp)(a);
  const float s = 1.0f / (1.0f + e.mantissa * e.high * e.low);
  const float low = -a * s * e.mantissa * e.high * e.low;
  return x > 0.0f ? x * s : low;
}

/// f'(x) = s + x w' s (1 - s)
LK_INLINE float LK(gelu_tanh_slope)(float x) {
  float a = fabsf(x);
  a = a > 15.0f ? 15.0f : a;
  const LK(exponential) e = LK(gelu_tanh_exp)(a);
  const float above = 1.0f / (1.0f + e.mantissa * e.high * e.low);
  const float below = above * e.mantissa * e.high * e.low;
  const float slope = (float)LK_GELU_C1 + (float)(3 * LK_GELU_C3) * a * a;
  const float change = a * slope * above * below;
  return x > 0.0f ? above + change : below - change;
}
