// Philox random numbers, and what is drawn from them. The definitions are in random_math.h.
#pragma once
#include "../random_math.h"

// Words that are made at a time where they are not the result themselves: they stay in the cache.
enum { LK(batch) = 1024 };

static void LK(random_bits)(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                            uint32_t *out) {
  const long blocks = n / 4;
  LK_SIMD
  for (long i = 0; i < blocks; i++) {
    const lk_words block = lk_philox(seed, stream, first_block + (uint64_t)i);
    out[4 * i] = block.w[0];
    out[4 * i + 1] = block.w[1];
    out[4 * i + 2] = block.w[2];
    out[4 * i + 3] = block.w[3];
  }
  if (n > 4 * blocks) {
    const lk_words block = lk_philox(seed, stream, first_block + (uint64_t)blocks);
    for (long i = 4 * blocks; i < n; i++) out[i] = block.w[i & 3];
  }
}

/// Fills `words` for the elements from `base` on, a batch at most; returns for how many.
LK_INLINE long LK(next_words)(long n, long base, uint64_t seed, uint64_t stream,
                              uint64_t first_block, uint32_t *words) {
  const long count = lk_smaller(LK(batch), n - base);
  const long whole = (count + 3) & ~3L;  // a block is never split between batches
  LK(random_bits)(whole, seed, stream, first_block + (uint64_t)base / 4, words);
  return count;
}

static void LK(random_uniform)(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                               float low, float high, float *out) {
  const float span = high - low, below = nextafterf(high, low);
  uint32_t words[LK(batch)];
  for (long base = 0; base < n; base += LK(batch)) {
    const long count = LK(next_words)(n, base, seed, stream, first_block, words);
    float *to = out + base;
    LK_SIMD
    for (long i = 0; i < count; i++) to[i] = lk_uniform(words[i], low, span, high, below);
  }
}

static void LK(random_normal)(long n, uint64_t seed, uint64_t stream, uint64_t first_block,
                              float mean, float deviation, float *out) {
  float normals[LK(batch)];
  uint32_t words[LK(batch)];
  for (long base = 0; base < n; base += LK(batch)) {
    const long count = LK(next_words)(n, base, seed, stream, first_block, words);
    const long pairs = (count + 1) / 2;
    LK_SIMD
    for (long i = 0; i < pairs; i++) {
      float cosine, sine;
      lk_normal_pair(words[2 * i], words[2 * i + 1], &cosine, &sine);
      normals[2 * i] = lk_normal_value(mean, deviation, cosine);
      normals[2 * i + 1] = lk_normal_value(mean, deviation, sine);
    }
    memcpy(out + base, normals, (size_t)count * sizeof(float));
  }
}

static void LK(dropout)(long n, float p, uint64_t seed, uint64_t stream, uint64_t first,
                        const float *x, float *y) {
  const uint32_t threshold = lk_dropout_threshold(p);
  const float scale = 1.0f / (1.0f - p);
  uint32_t words[LK(batch)];
  for (long base = 0; base < n; base += LK(batch)) {
    const long count = LK(next_words)(n, base, seed, stream, first / 4, words);
    const float *from = x + base;
    float *to = y + base;
    LK_SIMD
    for (long i = 0; i < count; i++) {
      const float kept = from[i] * scale;
      to[i] = words[i] >> 8 >= threshold ? kept : 0.0f;
    }
  }
}
