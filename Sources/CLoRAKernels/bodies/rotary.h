// Rotary position embedding.
#pragma once

static void LK(rotary)(long rows, long heads, long dim, long rotary, const float *cosines,
                       const float *sines, bool adjacent, bool inverse, const float *x, long ldx,
                       float *y, long ldy) {
  const long half = rotary / 2;
  const float sign = inverse ? -1.0f : 1.0f;
  for (long r = 0; r < rows; r++) {
    const float *cosine = cosines + r * half, *sine = sines + r * half;
    for (long h = 0; h < heads; h++) {
      const float *from = x + r * ldx + h * dim;
      float *to = y + r * ldy + h * dim;
      if (adjacent) {
        LK_SIMD
        for (long i = 0; i < half; i++) {
          const float a = from[2 * i], b = from[2 * i + 1], s = sign * sine[i];
          to[2 * i] = a * cosine[i] - b * s;
          to[2 * i + 1] = a * s + b * cosine[i];
        }
      } else {
        LK_SIMD
        for (long i = 0; i < half; i++) {
          const float a = from[i], b = from[half + i], s = sign * sine[i];
          to[i] = a * cosine[i] - b * s;
          to[half + i] = a * s + b * cosine[i];
        }
      }
      if (from != to)
        for (long i = 2 * half; i < dim; i++) to[i] = from[i];
    }
  }
}
