// Packing: the factors of a product rearranged so that the kernel of gemm.h reads them in order.
//
// A packed panel holds, step after step, `width` words of 32 bits: for a float32 product a step is
// one index of the sum and a word a float; for a rounded product a step is two indices and a word
// a pair of bfloat16, the first in the low half. What is missing at the edges is 0.
#pragma once
#include "convert.h"

// The family's file says how wide a vector is and which tile of accumulators its registers hold:
// LK_LANES, LK_TILE_ROWS, LK_TILE_VECTORS; and LK_TILE_DEPTH, the longest chunk.
#ifndef LK_HAS_BF16_DOT
#define LK_HAS_BF16_DOT 0
#endif

// X(height) for every height of a tile.
#if LK_TILE_ROWS == 4
#define LK_HEIGHTS(X) X(1) X(2) X(3) X(4)
#elif LK_TILE_ROWS == 6
#define LK_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define LK_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#endif

// F(lane, d) for every lane of a vector, as the list of a shuffle.
#define LK_LIST4(F, o, d) F(o, d), F(o + 1, d), F(o + 2, d), F(o + 3, d)
#define LK_LIST8(F, o, d) LK_LIST4(F, o, d), LK_LIST4(F, o + 4, d)
#if LK_LANES == 4
#define LK_LANE_LIST(F, d) LK_LIST4(F, 0, d)
#elif LK_LANES == 8
#define LK_LANE_LIST(F, d) LK_LIST8(F, 0, d)
#else
#define LK_LANE_LIST(F, d) LK_LIST8(F, 0, d), LK_LIST8(F, 8, d)
#endif
#define LK_TWICE(l, d) (2 * (l) + (d))
#define LK_EVEN(x, y) __builtin_shufflevector(x, y, LK_LANE_LIST(LK_TWICE, 0))
#define LK_ODD(x, y) __builtin_shufflevector(x, y, LK_LANE_LIST(LK_TWICE, 1))

typedef float LK(vector) __attribute__((vector_size(4 * LK_LANES)));
typedef uint32_t LK(words) __attribute__((vector_size(4 * LK_LANES)));
typedef uint16_t LK(halves) __attribute__((vector_size(2 * LK_LANES)));
typedef float LK(vector_any) __attribute__((vector_size(4 * LK_LANES), aligned(4), may_alias));
typedef uint32_t LK(words_any) __attribute__((vector_size(4 * LK_LANES), aligned(2), may_alias));
typedef uint16_t LK(halves_any) __attribute__((vector_size(2 * LK_LANES), aligned(2), may_alias));

// What one load of LK_LANES words is made from. Constants where they are used: each becomes code of
// its own.
enum { LK(from_f32), LK(from_bf16), LK(pairs_from_f32), LK(pairs_from_bf16) };

/// The bits of the nearest bfloat16 (ties to even) in the high half of each word; NaN stays NaN.
LK_INLINE LK(words) LK(round_words)(LK(words) x) {
  const LK(words) rounded = x + 0x7fffu + ((x >> 16) & 1u);
  const LK(words) is_nan = (LK(words))((x & 0x7fffffffu) > 0x7f800000u);
  return (rounded & ~is_nan) | ((x | 0x400000u) & is_nan);
}

LK_INLINE uint32_t LK(round_word)(uint32_t x) {
  return (x & 0x7fffffffu) > 0x7f800000u ? x | 0x400000u : x + 0x7fffu + ((x >> 16) & 1u);
}

/// Words of bfloat16 pairs from two vectors: low[i] in the low half of word i, high[i] in the high.
LK_INLINE LK(words) LK(pair_words)(LK(vector) low, LK(vector) high) {
#if LK_HAS_BF16_DOT
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
  const __m512i interleaved = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
      3, 18, 2, 17, 1, 16, 0);
  return (LK(words))_mm512_permutexvar_epi16(interleaved, both);
#else
  return (LK(round_words)((LK(words))low) >> 16) |
         (LK(round_words)((LK(words))high) & 0xffff0000u);
#endif
}

/// LK_LANES steps of one row, from element `index` of it on: the row is contiguous.
LK_INLINE LK(words) LK(load_steps)(const int kind, const void *row, long index) {
  switch (kind) {
    case LK(from_f32): return *(const LK(words_any) *)((const float *)row + index);
    case LK(from_bf16):
      return __builtin_convertvector(*(const LK(halves_any) *)((const uint16_t *)row + index),
                                     LK(words)) << 16;
    case LK(pairs_from_bf16): return *(const LK(words_any) *)((const uint16_t *)row + index);
    default: {
      const float *x = (const float *)row + index;
#if LK_HAS_BF16_DOT
      return (LK(words))_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + LK_LANES), _mm512_loadu_ps(x));
#else
      // Even elements are the low halves, odd ones the high.
      const LK(vector) first = *(const LK(vector_any) *)x;
      const LK(vector) second = *(const LK(vector_any) *)(x + LK_LANES);
      return LK(pair_words)(LK_EVEN(first, second), LK_ODD(first, second));
#endif
    }
  }
}

/// One step of LK_LANES rows that lie side by side: of index p, and of p + 1 for pairs.
LK_INLINE LK(words) LK(load_rows)(const int kind, const void *at, const void *next) {
  switch (kind) {
    case LK(from_f32): return *(const LK(words_any) *)at;
    case LK(from_bf16):
      return __builtin_convertvector(*(const LK(halves_any) *)at, LK(words)) << 16;
    case LK(pairs_from_bf16):
      return __builtin_convertvector(*(const LK(halves_any) *)at, LK(words)) |
             __builtin_convertvector(*(const LK(halves_any) *)next, LK(words)) << 16;
    default:
      return LK(pair_words)(*(const LK(vector_any) *)at, *(const LK(vector_any) *)next);
  }
}

// Exchanges the off-diagonal blocks of d x d of a square of vectors; with all d it is transposed.
#define LK_LOW(l, d) ((l) & (d) ? LK_LANES + (l) - (d) : (l))
#define LK_HIGH(l, d) ((l) & (d) ? LK_LANES + (l) : (l) + (d))
#define LK_EXCHANGE(r, d)                                                              \
  _Pragma("clang loop unroll(full)") for (int i_ = 0; i_ < LK_LANES; i_++) if (!(i_ & (d))) { \
    const LK(words) a_ = r[i_], b_ = r[i_ + (d)];                                      \
    r[i_] = __builtin_shufflevector(a_, b_, LK_LANE_LIST(LK_LOW, d));                  \
    r[i_ + (d)] = __builtin_shufflevector(a_, b_, LK_LANE_LIST(LK_HIGH, d));           \
  }

LK_INLINE void LK(transpose_words)(LK(words) *r) {
#if LK_LANES >= 16
  LK_EXCHANGE(r, 8)
#endif
#if LK_LANES >= 8
  LK_EXCHANGE(r, 4)
#endif
  LK_EXCHANGE(r, 2)
  LK_EXCHANGE(r, 1)
}

/// Stores the first `count` words of a step. A whole vector goes where `fits` says that what it
/// writes beyond them lies in the panel and is still to be written.
LK_INLINE void LK(put)(uint32_t *to, LK(words) v, long count, bool fits) {
  if (fits) {
    *(LK(words_any) *)to = v;
    return;
  }
  uint32_t words[LK_LANES];
  *(LK(words_any) *)words = v;
  long l = 0;
  for (; l + 4 <= count; l += 4) memcpy(to + l, words + l, 16);
  for (; l < count; l++) to[l] = words[l];
}

LK_INLINE float LK(element)(const lk_factor *x, long row, long index) {
  const long at = row * x->row_stride + index * x->depth_stride;
  switch (x->element) {
    case LK_BF16: return lk_float((uint32_t)((const uint16_t *)x->data)[at] << 16);
    case LK_F16: {
      float wide;
      LK(f32_from_f16)(1, (const uint16_t *)x->data + at, &wide);
      return wide;
    }
    default: return ((const float *)x->data)[at];
  }
}

/// A word of a panel: of index `index`, and of the next one for pairs.
LK_INLINE uint32_t LK(word)(bool rounds, const lk_factor *x, long row, long index, long end) {
  const uint32_t first = lk_bits(LK(element)(x, row, index));
  if (!rounds) return first;
  const uint32_t second = index + 1 < end ? lk_bits(LK(element)(x, row, index + 1)) : 0;
  return LK(round_word)(first) >> 16 | (LK(round_word)(second) & 0xffff0000u);
}

// One block of up to LK_LANES rows of a panel, any strides: the edges.
static void LK(pack_words)(bool rounds, const lk_factor *x, long row, long valid, long count,
                           long first_step, long steps, long start, long end, long width,
                           uint32_t *out) {
  const long span = rounds ? 2 : 1;
  for (long s = first_step; s < steps; s++)
    for (long i = 0; i < count; i++)
      out[s * width + i] = i < valid ? LK(word)(rounds, x, row + i, start + s * span, end) : 0;
}

// `rows` is how many the factor has: a load may read beyond `valid` while it stays in them.
LK_INLINE void LK(pack_block)(const int kind, const lk_factor *x, long rows, long row, long valid,
                              long count, long start, long end, long width, bool is_only_block,
                              uint32_t *out) {
  const bool rounds = kind == LK(pairs_from_f32) || kind == LK(pairs_from_bf16);
  const bool is_narrow = kind == LK(from_bf16) || kind == LK(pairs_from_bf16);
  const long span = rounds ? 2 : 1, size = is_narrow ? 2 : 4;
  const long steps = (end - start + span - 1) / span, whole_steps = (end - start) / span;
  const char *base = (const char *)x->data;
  long s = 0;
  if (x->depth_stride == 1) {
    const char *at[LK_LANES];
    // Rows beyond the last valid one are read from it: what the panel has no room for is
    // overwritten, and what must be 0 is made so below.
    for (long i = 0; i < LK_LANES; i++)
      at[i] = base + ((row + lk_smaller(i, valid - 1)) * x->row_stride + start) * size;
    // Two steps of bfloat16 are moved as one word and widened behind the transposition: half the
    // exchanges an element.
    for (; kind == LK(from_bf16) && count == LK_LANES && valid > 0 &&
           s + 2 * LK_LANES <= whole_steps;
         s += 2 * LK_LANES) {
      LK(words) r[LK_LANES];
      LK_UNROLL
      for (int i = 0; i < LK_LANES; i++) r[i] = LK(load_steps)(LK(pairs_from_bf16), at[i], s);
      LK(transpose_words)(r);
      LK_UNROLL
      for (int l = 0; l < LK_LANES; l++) {
        *(LK(words_any) *)(out + (s + 2 * l) * width) = r[l] << 16;
        *(LK(words_any) *)(out + (s + 2 * l + 1) * width) = r[l] & 0xffff0000u;
      }
    }
    for (; valid > 0 && s + LK_LANES <= whole_steps; s += LK_LANES) {
      LK(words) r[LK_LANES];
      _Pragma("clang loop unroll(full)") for (int i = 0; i < LK_LANES; i++)
        r[i] = LK(load_steps)(kind, at[i], s * span);
      LK(transpose_words)(r);
      if (count == LK_LANES || (is_only_block && (steps - s - LK_LANES) * width >= LK_LANES)) {
        _Pragma("clang loop unroll(full)") for (int l = 0; l < LK_LANES; l++)
          *(LK(words_any) *)(out + (s + l) * width) = r[l];
      } else {
        _Pragma("clang loop unroll(full)") for (int l = 0; l < LK_LANES; l++)
          LK(put)(out + (s + l) * width, r[l], count, false);
      }
    }
    for (long t = 0; t < s && valid < count; t++)
      for (long i = valid; i < count; i++) out[t * width + i] = 0;
  } else if (x->row_stride == 1 && valid == count && row + LK_LANES <= rows) {
    for (; s < whole_steps; s++) {
      const char *at = base + (row + (start + s * span) * x->depth_stride) * size;
      LK(put)(out + s * width, LK(load_rows)(kind, at, at + x->depth_stride * size), count,
              count == LK_LANES || (is_only_block && (steps - s) * width >= LK_LANES));
    }
  }
  LK(pack_words)(rounds, x, row, valid, count, s, steps, start, end, width, out);
}

/// Packs `height` rows of `x` from `row` on, indices start ..< end, into a panel of `width` words
/// a step.
static void LK(pack_panel)(bool rounds, const lk_factor *x, long rows, long row, long height,
                           long start, long end, long width, uint32_t *out) {
  const bool is_only_block = width <= LK_LANES;
  for (long i = 0; i < width; i += LK_LANES) {
    const long count = lk_smaller(LK_LANES, width - i);
    const long valid = lk_larger(0, lk_smaller(count, height - i));
#define LK_PACK(kind) \
  LK(pack_block)(kind, x, rows, row + i, valid, count, start, end, width, is_only_block, out + i)
    if (x->element == LK_F32) {
      if (rounds) LK_PACK(LK(pairs_from_f32)); else LK_PACK(LK(from_f32));
    } else if (x->element == LK_BF16) {
      if (rounds) LK_PACK(LK(pairs_from_bf16)); else LK_PACK(LK(from_bf16));
    } else {
      // Float16 has no cheap widening everywhere: a block is widened first, then packed.
      float wide[LK_LANES * 2 * LK_TILE_DEPTH];
      lk_factor block = {wide, LK_F32, 0, 0};
      const long depth = end - start;
      const uint16_t *from = (const uint16_t *)x->data;
      if (x->depth_stride == 1) {
        for (long r = 0; r < valid; r++)
          LK(f32_from_f16)(depth, from + (row + i + r) * x->row_stride + start, wide + r * depth);
        block.row_stride = depth;
        block.depth_stride = 1;
      } else {
        for (long p = 0; p < depth; p++)
          LK(f32_from_f16)(valid, from + (row + i) * x->row_stride + (start + p) * x->depth_stride,
                           wide + p * LK_LANES);
        block.row_stride = 1;
        block.depth_stride = LK_LANES;
      }
      if (rounds)
        LK(pack_block)(LK(pairs_from_f32), &block, LK_LANES, 0, valid, count, 0, depth, width,
                       is_only_block, out + i);
      else
        LK(pack_block)(LK(from_f32), &block, LK_LANES, 0, valid, count, 0, depth, width,
                       is_only_block, out + i);
    }
#undef LK_PACK
  }
}

// Columns of weights whose rows are the steps: panels side by side are packed together, so that a
// row is visited once for all of them. Its lines and its page are the cost, not the copying.

/// The columns that are packed together, whole panels.
#define LK_BAND 32

LK_INLINE void LK(pack_rows)(const int kind, const lk_factor *x, long column, long count,
                             long start, long steps, uint32_t *panels) {
  enum { full = LK_TILE_VECTORS * LK_LANES };
  const bool rounds = kind == LK(pairs_from_f32) || kind == LK(pairs_from_bf16);
  const bool is_narrow = kind == LK(from_bf16) || kind == LK(pairs_from_bf16);
  const long size = is_narrow ? 2 : 4, stride = x->depth_stride * size;
  const char *row = (const char *)x->data + column * size + start * stride;
  for (long s = 0; s < steps; s++) {
    for (long j = 0; j < count; j += full) {
      LK(words) *to = (LK(words) *)(panels + j * steps + s * full);
      _Pragma("clang loop unroll(full)") for (int v = 0; v < LK_TILE_VECTORS; v++) {
        const char *at = row + (j + v * LK_LANES) * size;
        to[v] = LK(load_rows)(kind, at, at + stride);
      }
    }
    row += (rounds ? 2 : 1) * stride;
  }
}

/// Packs columns [column, column + count), indices start ..< end, into panels one after the other,
/// LK_TILE_VECTORS vectors wide but for a last one with so few columns that one vector holds them.
static void LK(pack_band)(bool rounds, const lk_factor *x, long rows, long column, long count,
                          long start, long end, uint32_t *panels) {
  enum { full = LK_TILE_VECTORS * LK_LANES };
  const long steps = rounds ? (end - start + 1) / 2 : end - start;
  const bool is_even = !rounds || (end - start) % 2 == 0;
  long j = 0;
  if (x->row_stride == 1 && x->element != LK_F16 && is_even) {
    j = count / full * full;
#define LK_PACK(kind) LK(pack_rows)(kind, x, column, j, start, steps, panels)
    if (x->element == LK_F32) {
      if (rounds) LK_PACK(LK(pairs_from_f32)); else LK_PACK(LK(from_f32));
    } else {
      if (rounds) LK_PACK(LK(pairs_from_bf16)); else LK_PACK(LK(from_bf16));
    }
#undef LK_PACK
  }
  for (; j < count; j += full) {
    const long columns = lk_smaller(full, count - j);
    LK(pack_panel)(rounds, x, rows, column + j, columns, start, end,
                   columns <= LK_LANES ? LK_LANES : full, panels + j * steps);
  }
}
