// Asking the caches for the part of a factor that is packed next.
//
// Rows of weights lie far apart: the hardware takes no hint from reading one for the next, and each
// line of 64 bytes would be waited for. They are asked for early instead, into the second level.
//
// Where steps are the rows of the matrix, a piece lies beside the one that was packed before, and the
// line that it begins in came with that one: it is not asked for again.
#pragma once

/// A part of a factor, in pieces that are contiguous, and how much of it has been asked for.
typedef struct LK(ahead) {
  const char *piece;
  long stride, pieces, bytes, offset;
  bool along;  // whether pieces are rows of the factor, not steps
  long lines;  // of all pieces, or a few more
} LK(ahead);

/// The first line to ask for, counted from the piece's beginning: the one that it begins in, or the
/// next.
LK_INLINE long LK(first_line)(const char *piece, bool along) {
  return along ? -(long)((uintptr_t)piece % 64) : (long)(-(uintptr_t)piece % 64);
}

/// Of `count` rows of a factor from `row` on, indices [first, first + depth).
LK_INLINE LK(ahead) LK(look_ahead)(const lk_factor *x, long row, long count, long first,
                                   long depth) {
  const long size = x->element == LK_F32 ? 4 : 2;
  const bool along = x->depth_stride == 1;
  const long pieces = count <= 0 ? 0 : along ? count : depth;
  const long bytes = (along ? depth : count) * size;
  const char *piece =
      (const char *)x->data + (row * x->row_stride + first * x->depth_stride) * size;
  return (LK(ahead)){
      .piece = piece,
      .stride = (along ? x->row_stride : x->depth_stride) * size,
      .pieces = pieces,
      .bytes = bytes,
      .offset = LK(first_line)(piece, along),
      .along = along,
      .lines = pieces * ((bytes + 63) / 64 + along),
  };
}

/// Asks for up to `lines` more lines.
LK_INLINE void LK(prefetch)(LK(ahead) *next, long lines) {
  for (; lines > 0 && next->pieces > 0; lines--) {
    __builtin_prefetch(next->piece + next->offset, 0, 2);
    next->offset += 64;
    if (next->offset >= next->bytes) {
      next->piece += next->stride;
      next->offset = LK(first_line)(next->piece, next->along);
      next->pieces--;
    }
  }
}
