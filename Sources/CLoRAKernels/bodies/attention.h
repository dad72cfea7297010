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

static void LK(attention_exponentials)(long rows, long cols, long stride, long first_query,
                                       long first_key, long window, float *s, float *largest,
                                       double *sum, float *factor) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long first, end;
    lk_visible_keys(r, cols, first_query, first_key, window, &first, &end);
    const float before = largest[r], here = LK(row_max)(end - first, row + first);
    const float now = here > before ? here : before;
    const float shift = now == -INFINITY ? 0.0f : now;  // -infinity - -infinity is NaN
    factor[r] = before == now ? 1.0f : LK(expf)(before - shift);
    sum[r] = sum[r] * (double)factor[r] + LK(exp_sum)(end - first, row + first, shift, row + first);
    largest[r] = now;
    LK(fill)(first, 0.0f, row);
    LK(fill)(cols - end, 0.0f, row + end);
  }
}

static void LK(attention_finish)(long rows, long cols, const float *o, const float *largest,
                                 const double *sum, float *y, long ldy, float *lse) {
  for (long r = 0; r < rows; r++) {
    LK(scale)(cols, sum[r] == 0.0 ? 0.0f : (float)(1.0 / sum[r]), o + r * cols, y + r * ldy);
    if (lse) lse[r] = (float)((double)largest[r] + log(sum[r]));
  }
}

static void LK(attention_gradients)(long rows, long cols, long stride, long first_query,
                                    long first_key, long window, float *s, float *dp,
                                    const float *lse, const float *delta) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride, *drow = dp + r * stride;
    long first, end;
    lk_visible_keys(r, cols, first_query, first_key, window, &first, &end);
    const float shift = lse[r], mean = delta[r];
    if (shift == -INFINITY) end = first = 0;  // the softmax of such a row was zero
    LK_SIMD
    for (long c = first; c < end; c++) {
      const float p = LK(exp_below)(row[c] - shift);
      row[c] = p;
      drow[c] = p * (drow[c] - mean);
    }
    LK(fill)(first, 0.0f, row);
    LK(fill)(cols - end, 0.0f, row + end);
    LK(fill)(first, 0.0f, drow);
    LK(fill)(cols - end, 0.0f, drow + end);
  }
}
