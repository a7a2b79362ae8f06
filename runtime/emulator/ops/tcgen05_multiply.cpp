// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/tcgen05_multiply.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/ops/arithmetic_of.h"
#include "runtime/emulator/ops/formats.h"

namespace nibble::emulator::tcgen05 {

using tensor::Format;
using tensor::MmaKind;
using tensor::Packing;

ScaleLayout Product::a_scale_layout() const {
  return {layout.rows, stored_k() / variant.scale_block, shape.a_scale_id, 1};
}

ScaleLayout Product::b_scale_layout() const {
  return {shape.n, stored_k() / variant.scale_block, shape.b_scale_id, layout.parts};
}

Packing row_packing(MmaKind kind, Format format) {
  switch (tensor::bits_of(format)) {
    case 4:
      return kind >= MmaKind::kMxf4 ? Packing::k4 : Packing::k4Padded;
    case 6:
      return Packing::k6Padded;
    case 16:
      return Packing::k16;
    case 32:
      return Packing::k32;
    default:
      return Packing::k8;
  }
}

std::vector<Multiplication::Part> Multiplication::sources() const {
  const Product& p = product_;
  std::vector<Part> parts;
  if (!p.has_a_rows) {
    parts.push_back(
        {"A", {p.a_column, first_columns(p.shape.a, p.stored_k(), p.is_packed())}, true});
  }
  if (p.variant.scale_block != 0) {
    parts.push_back({"the scale factors of A", scale_columns(p.a_scale_layout(), p.a_scales)});
    parts.push_back({"the scale factors of B", scale_columns(p.b_scale_layout(), p.b_scales)});
  }
  if (p.variant.is_sparse) {
    parts.push_back({"sparsity metadata", metadata_columns(p.shape, p.metadata), true});
  }
  return parts;
}

void Multiplication::check() const {
  const Product& p = product_;
  const ColumnSpan result = result_columns(p.layout, p.d, p.shape.n);
  for (uint32_t i = 0; i < p.blocks.count; ++i) {
    Block& block = *p.blocks.block[i];
    if (p.has_a_rows) check_rows(origin(), p.a, block, "A");
    check_rows(origin(), p.b, block, "B");
    block.tensor_memory().check_allocated(origin(), result.column, result.columns, "D");
    for (const Part& part : sources()) {
      block.tensor_memory().check_allocated(origin(), part.span.column, part.span.columns,
                                            part.name);
      if (part.span.column < result.column + result.columns &&
          result.column < part.span.column + part.span.columns) {
        refuse(origin(),
               std::string(part.name) + " in columns " + std::to_string(part.span.column) + " to " +
                   std::to_string(part.span.column + part.span.columns - 1) +
                   " of tensor memory overlaps D in columns " + std::to_string(result.column) +
                   " to " + std::to_string(result.column + result.columns - 1));
      }
    }
  }
}

void Multiplication::add_part(std::vector<Extent>& extents, const Part& part, Access access) const {
  for (uint32_t i = 0; i < product_.blocks.count; ++i) {
    auto add = [&](uint32_t lane, uint32_t lanes) {
      const TensorRange range{lane, lanes, part.span.column, part.span.columns};
      extents.push_back({product_.blocks.block[i], access, true, 0, 0, range});
    };
    if (part.is_half && product_.layout.is_half) {
      for (uint32_t row = 0; row < product_.layout.rows; row += 16) {
        add(product_.layout.lane(row, 0), 16);
      }
    } else {
      add(0, TensorMemory::kLanes);
    }
  }
}

void Multiplication::list_extents(std::vector<Extent>& extents) const {
  const Product& p = product_;
  for (uint32_t i = 0; i < p.blocks.count; ++i) {
    const auto part = static_cast<uint8_t>(2 * i);
    if (p.has_a_rows) add_rows(extents, p.a, *p.blocks.block[i], part);
    add_rows(extents, p.b, *p.blocks.block[i], part + 1);
  }
  for (const Part& part : sources()) add_part(extents, part, Access::kRead);
  add_part(extents, {"D", result_columns(p.layout, p.d, p.shape.n), true}, Access::kWrite);
}

namespace {

void negate(std::vector<uint32_t>& codes, Format format) {
  const uint32_t sign = tensor::sign_bit(format);
  for (uint32_t& code : codes) code ^= sign;
}

// The accumulator's part in the sum: D x 2^-down, rounded to nearest where that is subnormal.
void scale_down(std::vector<uint32_t>& words, bool is_16_bit, uint32_t down) {
  const float factor = std::ldexp(1.0F, -static_cast<int>(down));
  for (uint32_t& word : words) {
    if (is_16_bit) {
      const auto value = decode<Binary16>(word);
      word = encode<Binary16>(value * factor);
    } else {
      word = std::bit_cast<uint32_t>(std::bit_cast<float>(word) * factor);
    }
  }
}

}  // namespace

// Rows of B: of the pair's even block first. With .ws they begin at the mask's shift.
void Multiplication::read_b(std::vector<uint32_t>& codes) const {
  const Product& p = product_;
  const uint32_t rows = p.b_rows() + p.columns.shift, k = p.shape.k;
  codes.resize(size_t{rows} * p.blocks.count * k);
  for (uint32_t i = 0; i < p.blocks.count; ++i) {
    check_written(origin(), p.b, row_packing(p.variant.kind, p.shape.b), *p.blocks.block[i], "B");
    gather_rows(*p.blocks.block[i], p.b, row_packing(p.variant.kind, p.shape.b), rows, k,
                codes.data() + size_t{i} * rows * k);
  }
  codes.erase(codes.begin(), codes.begin() + static_cast<std::ptrdiff_t>(p.columns.shift) * k);
  if (p.shape.negates_b) negate(codes, p.shape.b);
  for (size_t column = 0; column < p.columns.is_zero.size(); ++column) {
    if (p.columns.is_zero[column])
      std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(column * k), k, 0u);
  }
}

void Multiplication::read_a(Block& block, std::vector<uint32_t>& codes) const {
  const Product& p = product_;
  codes.resize(size_t{p.layout.rows} * p.stored_k());
  if (p.has_a_rows) {
    check_written(origin(), p.a, row_packing(p.variant.kind, p.shape.a), block, "A");
    gather_rows(block, p.a, row_packing(p.variant.kind, p.shape.a), p.layout.rows, p.stored_k(),
                codes.data());
  } else {
    read_first(origin(), block.tensor_memory(), p.layout, p.a_column, p.shape.a, p.stored_k(),
               p.is_packed(), p.shifts_a, codes.data());
  }
  if (p.shape.negates_a) negate(codes, p.shape.a);
}

void Multiplication::multiply_in(uint32_t index, const std::vector<uint32_t>& b) {
  const Product& p = product_;
  Block& block = *p.blocks.block[index];
  TensorMemory& memory = block.tensor_memory();
  const bool is_16_bit = p.shape.d == Format::kF16;
  std::vector<uint32_t> a, d(size_t{p.layout.rows} * p.shape.n);
  std::vector<uint8_t> a_scales, b_scales;
  read_a(block, a);
  if (p.variant.scale_block != 0) {
    const ScaleLayout of_a = p.a_scale_layout(), of_b = p.b_scale_layout();
    a_scales.resize(size_t{of_a.rows} * of_a.count);
    b_scales.resize(size_t{of_b.rows} * of_b.count);
    read_scales(origin(), memory, of_a, p.a_scales, "A", a_scales.data());
    read_scales(origin(), memory, of_b, p.b_scales, "B", b_scales.data());
  }
  if (p.accumulates) {
    read_result(origin(), memory, p.layout, p.d, p.shape.n, is_16_bit, d.data());
    if (p.down_scale != 0) scale_down(d, is_16_bit, p.down_scale);
  }
  tensor::Multiply multiply;
  multiply.m = p.layout.rows;
  multiply.n = p.shape.n;
  multiply.k = p.stored_k();
  multiply.a = p.shape.a;
  multiply.b = p.shape.b;
  multiply.d = p.shape.d;
  multiply.scale = p.shape.scale;
  multiply.scale_block = p.variant.scale_block;
  multiply.arithmetic = arithmetic_of(*origin().warp, tensor::Arithmetic::kTcgen05);
  multiply.saturates = p.shape.saturates;
  if (p.variant.is_sparse) {
    std::vector<uint16_t> places(a.size());
    read_metadata(origin(), memory, p.layout, p.shape, p.metadata, places.data());
    tensor::multiply_sparse(multiply, a.data(), places.data(), b.data(), p.shape.k, a_scales.data(),
                            b_scales.data(), d.data());
  } else {
    tensor::multiply(multiply, a.data(), b.data(), a_scales.data(), b_scales.data(), d.data());
  }
  write_result(memory, p.layout, p.d, p.shape.n, is_16_bit, p.disabled.data() + size_t{4} * index,
               d.data());
}

void Multiplication::perform() {
  check();
  std::vector<uint32_t> b;
  read_b(b);
  for (uint32_t i = 0; i < product_.blocks.count; ++i) multiply_in(i, b);
}

}  // namespace nibble::emulator::tcgen05
