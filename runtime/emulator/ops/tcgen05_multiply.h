// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One tcgen05.mma as an operation of the tensor core's queue.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/ops/tcgen05_layout.h"
#include "runtime/emulator/ops/tcgen05_operands.h"

namespace nibble::emulator::tcgen05 {

// The operands of one thread's instruction, decoded.
struct Product {
  tensor::MmaVariant variant;
  tensor::MmaShape shape;
  Blocks blocks;
  LaneLayout layout;

  uint32_t d = 0;  // first columns in tensor memory
  bool has_a_rows = true;
  tensor::MatrixTile a, b;  // rows of one block each
  uint32_t a_column = 0;    // where not has_a_rows
  bool shifts_a = false;
  uint32_t a_scales = 0, b_scales = 0;
  uint32_t metadata = 0;
  tensor::ColumnMask columns;

  bool accumulates = false;
  uint32_t down_scale = 0;             // D counts 2^-down_scale times
  std::array<uint32_t, 8> disabled{};  // lanes of D, 4 words a block

  bool is_packed() const { return variant.kind >= tensor::MmaKind::kMxf4; }
  uint32_t stored_k() const { return shape.k / (variant.is_sparse ? 2 : 1); }
  uint32_t b_rows() const { return shape.n / variant.group; }
  ScaleLayout a_scale_layout() const;
  ScaleLayout b_scale_layout() const;
};

// How a matrix's elements lie in shared memory.
tensor::Packing row_packing(tensor::MmaKind kind, tensor::Format format);

class Multiplication : public Operation {
 public:
  Multiplication(const Origin& origin, const Product& product)
      : Operation(origin), product_(product) {}

  // Faults where an operand is not where it may be.
  void check() const;
  void list_extents(std::vector<Extent>& extents) const override;
  void perform() override;

 private:
  // A matrix in tensor memory.
  struct Part {
    const char* name = "";
    ColumnSpan span;
    bool is_half = false;  // in the layout's lanes, not in all
  };
  std::vector<Part> sources() const;
  void add_part(std::vector<Extent>& extents, const Part& part, Access access) const;
  void read_b(std::vector<uint32_t>& codes) const;
  void read_a(Block& block, std::vector<uint32_t>& codes) const;
  void multiply_in(uint32_t index, const std::vector<uint32_t>& b);

  Product product_;
};

}  // namespace nibble::emulator::tcgen05
