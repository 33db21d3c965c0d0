// The letters used for shapes, everywhere: struct fields, comments, taps, JSON keys.
//
//   B  sequences in a batch          H  query heads
//   T  query positions               G  key/value heads (grouped-query attention: H / G query heads share one)
//   S  key positions (cache length)  D  head dimension
//   L  layers                        F  feed-forward width
//   C  model width                   V  vocabulary
//   P  values of a pooled pattern    M  measures of a pattern's row (kernels/pattern_summary.h)
//   R  rows of a ragged batch: one row is one (token, sequence, position)
//
// A tensor's comment gives its shape in these letters, slowest index first: // [H, T, S]
#pragma once
