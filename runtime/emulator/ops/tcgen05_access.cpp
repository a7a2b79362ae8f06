// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.ld, .st, .wait and .fence: PTX ISA 9.7.16.8, 9.7.16.11. Loads and stores are done at
// once; Order knows that they are over for others only after the wait.
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/emulator/isa/pending.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/tcgen05.h"

namespace nibble::emulator::tcgen05 {

namespace {

enum class Shape : uint8_t { k16x64b, k16x128b, k16x256b, k32x32b, k16x32bx2 };
constexpr const char* kShapes = ".{16x64b,16x128b,16x256b,32x32b}";
constexpr const char* kCounts = ".{x1,x2,x4,x8,x16,x32,x64,x128}";
constexpr const char* kReducedCounts = ".{x2,x4,x8,x16,x32,x64,x128}";

// The least columns of a shape, with 32-bit elements.
constexpr uint32_t columns_of(Shape shape) {
  switch (shape) {
    case Shape::k16x64b:
      return 2;
    case Shape::k16x128b:
      return 4;
    case Shape::k16x256b:
      return 8;
    default:
      return 1;
  }
}

constexpr uint32_t lanes_of(Shape shape) { return shape == Shape::k32x32b ? 32 : 16; }

struct Cell {
  uint32_t lane = 0, column = 0;
};

// The cell behind register i of a thread, from the base of the access (figures 183 to 187).
template <Shape kShape>
constexpr Cell cell_of(uint32_t thread, uint32_t i) {
  switch (kShape) {
    case Shape::k16x64b:
      return {thread / 4 + thread % 2 * 8, 2 * i + thread / 2 % 2};
    case Shape::k16x128b:
      return {thread / 4 + i % 2 * 8, i / 2 * 4 + thread % 4};
    case Shape::k16x256b:
      return {thread / 4 + i / 2 % 2 * 8, i / 4 * 8 + thread % 4 * 2 + i % 2};
    case Shape::k16x32bx2:
      return {thread % 16, i};
    case Shape::k32x32b:
      return {thread, i};
  }
  return {};
}

struct Span {
  Shape shape = Shape::k32x32b;
  uint32_t count = 1;      // .xN
  bool is_packed = false;  // two columns of 16 bits to a register
  uint32_t registers = 1;
  const Arg* data = nullptr;
  uint32_t lane = 0, column = 0;
  uint32_t second = 0;  // 16x32bx2: the second half's first column
};

uint32_t registers_of(Shape shape, uint32_t count) {
  return shape == Shape::k16x32bx2 ? count : columns_of(shape) * lanes_of(shape) * count / 32;
}

// Where an access goes: by the warp's quarter of the lanes, whatever quarter the address says as
// long as it is that one or the first. Checks rules and order.
void place(Warp& warp, Span& span, const Arg& address, const Arg* split, Access access) {
  const Origin origin(warp, 0);
  const TensorAddress at = tensor_address(uniform_address(warp, address));
  const uint32_t quarter = warp.index() % 4;
  const uint32_t in_quarter = at.lane % 32;
  if (at.lane >= 32 && at.lane / 32 != quarter) {
    refuse(origin, "warp " + std::to_string(warp.index()) + " reaches lanes " +
                       std::to_string(32 * quarter) + " to " + std::to_string(32 * quarter + 31) +
                       " of tensor memory, not lane " + std::to_string(at.lane));
  }
  if (in_quarter % lanes_of(span.shape) != 0) {
    refuse(origin, "lane " + std::to_string(at.lane) +
                       " of tensor memory: this shape begins at a " + "multiple of " +
                       std::to_string(lanes_of(span.shape)));
  }
  span.lane = 32 * quarter + in_quarter;
  span.column = at.column;
  const uint32_t columns = columns_of(span.shape) * span.count * (span.is_packed ? 2 : 1);
  Block& block = warp.block();
  Order& order = block.cluster().order();
  auto touch = [&](uint32_t column) {
    block.tensor_memory().check_allocated(origin, column, columns,
                                          access == Access::kRead ? "a load" : "a store");
    order.access_tensor(warp, block, {span.lane, lanes_of(span.shape), column, columns}, access);
    for (uint32_t lane = span.lane; lane < span.lane + lanes_of(span.shape); ++lane) {
      if (access == Access::kWrite) {
        block.tensor_memory().mark_written(lane, column, columns);
      } else {
        block.tensor_memory().check_written(origin, lane, column, columns, "a load");
      }
    }
  };
  touch(span.column);
  if (split == nullptr) return;
  span.second = span.column + uniform(warp, *split, "the split");
  touch(span.second);
}

// visit(register i, lane of the warp, cell): cell is that of the lower half where two are packed.
template <Shape kShape, class Visit>
void for_each_cell(Warp& warp, const Span& span, Visit visit) {
  TensorMemory& memory = warp.block().tensor_memory();
  const uint32_t wide = span.is_packed ? 2 : 1;
  for (uint32_t thread = 0; thread < kWarpSize; ++thread) {
    const bool is_second = kShape == Shape::k16x32bx2 && thread >= 16;
    const uint32_t first = is_second ? span.second : span.column;
    for (uint32_t i = 0; i < span.registers; ++i) {
      const Cell cell = cell_of<kShape>(thread, i);
      visit(i, thread, memory.row(span.lane + cell.lane) + first + cell.column * wide);
    }
  }
}

template <class Visit>
void for_each_cell(Warp& warp, const Span& span, Visit visit) {
  switch (span.shape) {
    case Shape::k16x64b:
      return for_each_cell<Shape::k16x64b>(warp, span, visit);
    case Shape::k16x128b:
      return for_each_cell<Shape::k16x128b>(warp, span, visit);
    case Shape::k16x256b:
      return for_each_cell<Shape::k16x256b>(warp, span, visit);
    case Shape::k32x32b:
      return for_each_cell<Shape::k32x32b>(warp, span, visit);
    case Shape::k16x32bx2:
      return for_each_cell<Shape::k16x32bx2>(warp, span, visit);
  }
}

void load(Warp& warp, const Span& span) {
  for_each_cell(warp, span, [&](uint32_t i, uint32_t thread, const uint32_t* cell) {
    if (span.data[i].offset == kNoArg) return;
    uint32_t* const to = warp.reg<uint32_t>(span.data[i]) + thread;
    *to = span.is_packed ? (cell[0] & 0xFFFF) | cell[1] << 16 : cell[0];
  });
}

// The upper halves of cells that 16-bit elements go to become zero; the manual does not say.
void store(Warp& warp, const Span& span) {
  for_each_cell(warp, span, [&](uint32_t i, uint32_t thread, uint32_t* cell) {
    const uint32_t value = warp.reg<uint32_t>(span.data[i])[thread];
    if (span.is_packed) {
      cell[0] = value & 0xFFFF;
      cell[1] = value >> 16;
    } else {
      cell[0] = value;
    }
  });
}

// Of "tcgen05.ld.sync.aligned.SHAPE.xN{.pack::16b}.b32": groups 3, 4 and 5; kSplit: 16x32bx2.
template <bool kSplit>
Span span_of(const Inst& inst) {
  Span span;
  span.shape = kSplit ? Shape::k16x32bx2 : static_cast<Shape>(inst.choice[3]);
  span.count = 1u << inst.choice[4];
  span.is_packed = inst.choice[5] != kAbsent;
  span.registers = registers_of(span.shape, span.count);
  return span;
}

template <bool kSplit>
void load_shape(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  Span span = span_of<kSplit>(inst);
  span.data = inst.arg;
  const Arg* const address = inst.arg + span.registers;
  place(warp, span, *address, kSplit ? address + 1 : nullptr, Access::kRead);
  load(warp, span);
  begin_pending(warp, inst);
}

template <bool kSplit>
void store_shape(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  Span span = span_of<kSplit>(inst);
  span.data = inst.arg + (kSplit ? 2 : 1);
  place(warp, span, inst.arg[0], kSplit ? inst.arg + 1 : nullptr, Access::kWrite);
  store(warp, span);
}

// The vector has as many registers as table 49 says; shapes have a largest count.
template <bool kSplit, Body body>
Body check_registers(const Inst& inst) {
  const Span span = span_of<kSplit>(inst);
  const uint32_t others = kSplit ? 2 : 1;
  return span.registers <= 128 && inst.arg_count == span.registers + others ? body : nullptr;
}

template <class T>
T reduced(const Inst& inst, T a, T b) {
  const bool is_max = inst.choice[6] == 1;
  if constexpr (std::is_floating_point_v<T>) {
    if (inst.choice[7] != kAbsent) {  // .abs
      a = std::fabs(a);
      b = std::fabs(b);
    }
    if (std::isnan(a) || std::isnan(b)) {
      const bool gives_nan = inst.choice[8] != kAbsent || (std::isnan(a) && std::isnan(b));
      if (gives_nan) return std::bit_cast<float>(0x7FFFFFFFu);
      return std::isnan(a) ? b : a;
    }
    if (a == b) return std::signbit(a) == is_max ? b : a;  // -0 is less than +0
  }
  return (a < b) == is_max ? b : a;
}

// Groups: ld, red, sync, aligned, then shape, count, operation, {.abs}, {.NaN}, type.
template <bool kSplit, class T>
void load_reduced(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  Span span;
  span.shape = kSplit ? Shape::k16x32bx2 : Shape::k32x32b;
  span.count = 2u << inst.choice[5];
  span.registers = span.count;
  span.data = inst.arg;
  const Arg* const result = inst.arg + span.registers;
  place(warp, span, result[1], kSplit ? result + 2 : nullptr, Access::kRead);
  load(warp, span);
  begin_pending(warp, inst);
  T values[kWarpSize];
  for_each_cell(warp, span, [&](uint32_t i, uint32_t thread, const uint32_t* cell) {
    const T value = std::bit_cast<T>(*cell);
    values[thread] = i == 0 ? reduced(inst, value, value) : reduced(inst, values[thread], value);
  });
  for (uint32_t thread = 0; thread < kWarpSize; ++thread) {
    warp.reg<T>(*result)[thread] = values[thread];
  }
}

template <bool kSplit, class T>
Body select_reduced(const Inst& inst) {
  const uint32_t registers = 2u << inst.choice[5], others = kSplit ? 3 : 2;
  return inst.arg_count == registers + others ? load_reduced<kSplit, T> : nullptr;
}

void wait(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  warp.block().cluster().order().wait_tensor(warp);
  if (inst.choice[0] == 0) end_pending(warp, "tcgen05");  // wait::ld
}

void fence(Warp& warp, const Inst& inst) {
  Order& order = warp.block().cluster().order();
  if (inst.choice[0] == 0) {
    order.fence_tensor_before(warp);
  } else {
    order.fence_tensor_after(warp);
  }
}

}  // namespace

void append_access_rows(Rows& rows) {
  const Requires target{100, kEveryTarget};
  const std::string shapes = kShapes, counts = kCounts;
  rows.push_back({"tcgen05.ld.sync.aligned" + shapes + counts + "{.pack::16b}.b32 {d}, [a]", target,
                  nullptr, check_registers<false, load_shape<false>>});
  rows.push_back({"tcgen05.ld.sync.aligned.16x32bx2" + counts + "{.pack::16b}.b32 {d}, [a], b:u32",
                  target, nullptr, check_registers<true, load_shape<true>>});
  rows.push_back({"tcgen05.st.sync.aligned" + shapes + counts + "{.unpack::16b}.b32 [a], {b}",
                  target, nullptr, check_registers<false, store_shape<false>>});
  rows.push_back(
      {"tcgen05.st.sync.aligned.16x32bx2" + counts + "{.unpack::16b}.b32 [a], b:u32, {c}", target,
       nullptr, check_registers<true, store_shape<true>>});
  const Requires reduces{103, kReduceTarget};
  const std::string start = "tcgen05.ld.red.sync.aligned.";
  auto reduce = [&](const std::string& tail, Select plain, Select split) {
    rows.push_back(
        {start + "32x32b" + kReducedCounts + tail + " {d}, d, [a]", reduces, nullptr, plain});
    rows.push_back({start + "16x32bx2" + kReducedCounts + tail + " {d}, d, [a], b:u32", reduces,
                    nullptr, split});
  };
  reduce(".{min,max}{.abs}{.NaN}.f32", select_reduced<false, float>, select_reduced<true, float>);
  reduce(".{min,max}.u32", select_reduced<false, uint32_t>, select_reduced<true, uint32_t>);
  reduce(".{min,max}.s32", select_reduced<false, int32_t>, select_reduced<true, int32_t>);
  rows.push_back({"tcgen05.{wait::ld,wait::st}.sync.aligned", target, wait});
  rows.push_back({"tcgen05.{fence::before_thread_sync,fence::after_thread_sync}", target, fence});
}

}  // namespace nibble::emulator::tcgen05
