// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/quantizer.h"

#include <algorithm>
#include <utility>

#include "nibble/amax.hpp"
#include "nibble/quantize.hpp"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

Status grow(Context& context, int64_t bytes, Buffer* buffer) {
  if (buffer->size() >= bytes) return {};
  *buffer = Buffer();  // first: the old one is of no use, and there may be no room for both
  Result<Buffer> larger = context.allocate(bytes);
  if (!larger.ok()) return larger.status();
  *buffer = std::move(larger).value();
  return {};
}

}  // namespace

int64_t Quantizer::rows_in_chunk(const MatrixInFile& matrix) const {
  return std::clamp<int64_t>(chunk_bytes_ / matrix.row_bytes(), 1, matrix.rows);
}

Status Quantizer::reserve(const MatrixInFile& matrix) {
  const int64_t rows = rows_in_chunk(matrix);
  const int64_t codes = rows * code_row_bytes(matrix.columns);
  const int64_t scales = scale_bytes(rows, matrix.columns, ScaleLayout::kRowMajor);
  host_input_.resize(static_cast<size_t>(rows * matrix.row_bytes()));
  host_codes_.resize(static_cast<size_t>(codes));
  host_scales_.resize(static_cast<size_t>(scales));
  NIBBLE_TRY(grow(context_, rows * matrix.row_bytes(), &input_));
  NIBBLE_TRY(grow(context_, codes, &codes_));
  NIBBLE_TRY(grow(context_, scales, &scales_));
  return grow(context_, sizeof(float), &amax_);
}

Status Quantizer::load(const MatrixInFile& matrix, int64_t first_row, int64_t rows) {
  const int64_t bytes = rows * matrix.row_bytes();
  const auto position = matrix.position + static_cast<uint64_t>(first_row * matrix.row_bytes());
  NIBBLE_TRY(matrix.file->read(position, host_input_.data(), static_cast<uint64_t>(bytes)));
  return context_.copy_to_device(input_.address(), host_input_.data(), bytes);
}

Result<float> Quantizer::amax(const MatrixInFile& matrix) {
  NIBBLE_TRY(reserve(matrix));
  float largest = 0;
  for (int64_t row = 0; row < matrix.rows; row += rows_in_chunk(matrix)) {
    const int64_t rows = std::min(rows_in_chunk(matrix), matrix.rows - row);
    NIBBLE_TRY(load(matrix, row, rows));
    AmaxRequest request;
    request.x = {input_.address(), matrix.type, rows, matrix.columns};
    request.amax = amax_.address();
    NIBBLE_TRY(nibble::amax(context_, request));
    float part = 0;
    NIBBLE_TRY(context_.copy_to_host(&part, amax_.address(), sizeof(part)));
    largest = std::max(largest, part);
  }
  return largest;
}

Result<Fidelity> Quantizer::quantize(const MatrixInFile& matrix, float amax, double tensor_scale,
                                     const Sink& sink, const Advance& advance) {
  NIBBLE_TRY(reserve(matrix));
  NIBBLE_TRY(context_.copy_to_device(amax_.address(), &amax, sizeof(amax)));
  Fidelity fidelity;
  for (int64_t row = 0; row < matrix.rows; row += rows_in_chunk(matrix)) {
    const int64_t rows = std::min(rows_in_chunk(matrix), matrix.rows - row);
    NIBBLE_TRY(load(matrix, row, rows));
    QuantizeRequest request;
    request.x = {input_.address(), matrix.type, rows, matrix.columns};
    request.y.codes = codes_.address();
    request.y.scales = scales_.address();
    request.y.amax = amax_.address();
    request.y.scale_layout = ScaleLayout::kRowMajor;
    request.amax_given = true;
    request.scaling = scaling_;
    NIBBLE_TRY(nibble::quantize(context_, request));
    NIBBLE_TRY(context_.copy_to_host(host_codes_.data(), codes_.address(),
                                     rows * code_row_bytes(matrix.columns)));
    NIBBLE_TRY(context_.copy_to_host(host_scales_.data(), scales_.address(),
                                     scale_bytes(rows, matrix.columns, ScaleLayout::kRowMajor)));
    compare({host_input_.data(), matrix.type, rows, matrix.columns, host_codes_.data(),
             host_scales_.data(), tensor_scale},
            &fidelity);
    NIBBLE_TRY(sink({row, rows, host_codes_.data(), host_scales_.data()}));
    advance(rows * matrix.row_bytes());
  }
  return fidelity;
}

}  // namespace nibble::cli
