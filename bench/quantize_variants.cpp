// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/quantize_variants.h"

namespace nibble::bench {

namespace {

bool makes_rows(const QuantizeRequest& options) { return options.copies != Copies::kTransposed; }
bool makes_transposed(const QuantizeRequest& options) { return options.copies != Copies::kRowWise; }

int64_t aligned(int64_t bytes) { return (bytes + 511) / 512 * 512; }

}  // namespace

std::vector<QuantizeVariant> quantize_variants() {
  QuantizeRequest stochastic, transposed, both, both_stochastic, square, fused, fused_stochastic;
  stochastic.rounding = Rounding::kStochastic;
  transposed.copies = Copies::kTransposed;
  both.copies = Copies::kBoth;
  both_stochastic = both;
  both_stochastic.rounding = Rounding::kStochastic;
  square = both;
  square.blocks = BlockShape::kSquare;
  fused = both;
  fused.transposed_transform.enabled = true;
  fused_stochastic = fused;
  fused_stochastic.rounding = Rounding::kStochastic;
  QuantizeRequest mxfp4, mxfp8, mxfp8_stochastic;
  mxfp4.format = QuantizedFormat::kMxfp4;
  mxfp8.format = QuantizedFormat::kMxfp8;
  mxfp8_stochastic = mxfp8;
  mxfp8_stochastic.rounding = Rounding::kStochastic;
  QuantizeRequest four_over_six, square_four_over_six, transformed, transformed_128;
  four_over_six.scaling = BlockScaling::kFourOverSix;
  square_four_over_six = square;
  square_four_over_six.scaling = BlockScaling::kFourOverSix;
  transformed.transform.enabled = true;
  transformed_128.transform = {.enabled = true, .size = 128};
  return {{"stochastic", stochastic, 0.60},
          {"transposed", transposed, 0.80},
          {"rows + transposed", both, 0.80},
          {"square, both copies", square, 0.80},
          {"rows + transformed transposed", fused, 0.70},
          {"rows + transposed, stochastic", both_stochastic, 0},
          {"rows + transformed transposed, stochastic", fused_stochastic, 0},
          {"mxfp4", mxfp4, 0.80},
          {"mxfp8", mxfp8, 0.80},
          {"mxfp8, stochastic", mxfp8_stochastic, 0},
          {"four over six", four_over_six, 0},
          {"square, both copies, four over six", square_four_over_six, 0},
          {"transformed", transformed, 0},
          {"transformed by 128", transformed_128, 0}};
}

QuantizeRequest request_of(const QuantizeVariant& variant, const DeviceProblem& problem, int set) {
  QuantizeRequest request = variant.options;
  const QuantizeRequest plain = problem.quantize(set, ScaleLayout::k128x4);
  request.x = plain.x;
  request.y = plain.y;
  request.amax_given = true;
  const DevicePointer room = problem.dequantize(set, ScaleLayout::k128x4).y.data;
  if (request.format == QuantizedFormat::kMxfp8) request.y.codes = room;
  const int64_t codes = quantized_row_bytes(request.format, request.x.rows) * request.x.columns;
  request.y_transposed = {room, room + static_cast<uint64_t>(aligned(codes)), request.y.amax,
                          ScaleLayout::k128x4};
  return request;
}

int64_t bytes_of(const QuantizeVariant& variant, const QuantizeRequest& request) {
  const Matrix& x = request.x;
  const QuantizedFormat format = variant.options.format;
  int64_t bytes = x.rows * x.columns * size_of(x.type);
  if (makes_rows(variant.options)) {
    bytes += x.rows * quantized_row_bytes(format, x.columns) +
             quantized_scale_bytes(format, x.rows, x.columns, ScaleLayout::kRowMajor);
  }
  if (makes_transposed(variant.options)) {
    bytes += x.columns * quantized_row_bytes(format, x.rows) +
             quantized_scale_bytes(format, x.columns, x.rows, ScaleLayout::kRowMajor);
  }
  return bytes;
}

}  // namespace nibble::bench
