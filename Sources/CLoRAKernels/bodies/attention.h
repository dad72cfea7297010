// Attention scores of one tile of queries and keys. What a query does not see is never computed:
// its visible keys are one interval, and the rest of the row is filled with zeros.

static void LK(attention_softmax)(long rows, long cols, long stride, long first_query,
                                  long first_key, long window, float scale, float *s, float *lse) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long first, end;
    lk_visible_keys(r, cols, first_query, first_key, window, &first, &end);
    const float sum = LK(softmax_row)(end - first, scale, row + first, row + first);
    LK(fill)(first, 0.0f, row);
    LK(fill)(cols - end, 0.0f, row + end);
    if (lse) lse[r] = sum;
  }
}

static void LK(attention_probabilities)(long rows, long cols, long stride, long first_query,
                                        long first_key, long window, float scale, float *s,
                                        const float *lse) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long first, end;
    lk_visible_keys(r, cols, first_query, first_key, window, &first, &end);
    const float shift = lse[r];
    if (shift == -INFINITY) end = first = 0;  // the softmax of such a row was zero
    LK_SIMD
    for (long c = first; c < end; c++) row[c] = LK(expf)(scale * row[c] - shift);
    LK(fill)(first, 0.0f, row);
    LK(fill)(cols - end, 0.0f, row + end);
  }
}

static void LK(attention_scores_backward)(long rows, long cols, long stride, const float *p,
                                          float *dp, const float *delta, float scale) {
  for (long r = 0; r < rows; r++) {
    const float *pr = p + r * stride;
    float *dpr = dp + r * stride;
    const float shift = delta[r];
    LK_SIMD
    for (long c = 0; c < cols; c++) dpr[c] = pr[c] * (dpr[c] - shift) * scale;
  }
}
