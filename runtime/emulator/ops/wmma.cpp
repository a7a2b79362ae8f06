// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// wmma.load, wmma.store, wmma.mma (PTX ISA 9.7.14.4).
//
// The manual leaves open which lane holds what; programs rely on it all the same, since
// instructions of both kinds are mixed. This is what targets from sm_80 on do: a fragment is one or
// two fragments of an mma.sync, whatever the layout in memory. m8n32k16 is transposed: there B and
// the accumulators have what A and the accumulators of m32n8k16 have. Multiplicands of f16 always
// take eight registers, which repeat what they hold.
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/arithmetic.h"
#include "runtime/emulator/ops/formats.h"
#include "runtime/emulator/ops/mma.h"

namespace nibble::emulator {

namespace {

using tensor::Format;

enum class Role { kA, kB, kC };

constexpr uint32_t kTileRows = 16, kTileColumns = 8;
constexpr uint32_t kMostElements = 8 * 128;  // of b1

// One matrix of a wmma: rows along m (n of B), columns along k (n of C).
struct WmmaMatrix {
  MmaShape shape;
  Role role = Role::kA;
  Format format = Format::kF16;

  uint32_t lines() const { return role == Role::kB ? shape.n : shape.m; }
  uint32_t length() const { return role == Role::kC ? shape.n : shape.k; }
  uint32_t bits() const { return register_bits(format); }
  uint32_t count() const { return lines() * length() / kWarpSize; }  // elements a lane
  uint32_t registers() const {
    if (format == Format::kF16 && role != Role::kC) return 8;
    return Mma::registers(count(), bits());
  }

  Place place(uint32_t lane, uint32_t i) const {
    const bool is_transposed = shape.m == 8 && shape.n == 32;
    const uint32_t each = std::max(32 / bits(), 1u);
    if (role == Role::kC) {
      const uint32_t in_tile = std::min(count(), 4u), tile = i / in_tile;
      Place at = place_in_c(lane, i % in_tile);
      if (is_transposed || shape.m == 32) {
        at.line += tile * kTileRows;
      } else {
        at.along += tile * kTileColumns;
      }
      return is_transposed ? Place{at.along, at.line} : at;
    }
    const bool is_tall = (role == Role::kA) != is_transposed;
    const uint32_t in_tile =
        std::min(count(), (is_tall ? kTileRows : kTileColumns) * uint32_t{shape.k} / kWarpSize);
    const uint32_t tile = i / in_tile;
    Place at = is_tall ? place_in_a(lane, i % in_tile, each) : place_in_b(lane, i % in_tile, each);
    at.line += tile * (is_tall ? kTileRows : kTileColumns);
    return at;
  }
};

using Codes = std::array<uint64_t, kMostElements>;  // row-major by WmmaMatrix's rows and columns

uint64_t mask_of(uint32_t bits) { return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

void read_fragment(Warp& warp, const Arg* args, const WmmaMatrix& fragment, Codes& codes) {
  const uint32_t bits = fragment.bits(), each = std::max(32 / bits, 1u);
  for (uint32_t i = 0; i < fragment.count(); ++i) {
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      const uint64_t word = warp.integer(args[i / each], lane);
      const Place at = fragment.place(lane, i);
      codes[at.line * fragment.length() + at.along] = word >> i % each * bits & mask_of(bits);
    }
  }
}

void write_fragment(Warp& warp, const Arg* args, const WmmaMatrix& fragment, const Codes& codes) {
  const uint32_t bits = fragment.bits(), each = std::max(32 / bits, 1u);
  for (uint32_t r = 0; r < fragment.registers(); ++r) {
    if (args[r].offset == kNoArg) continue;
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      uint64_t word = 0;
      for (uint32_t i = 0; i < each; ++i) {
        const Place at = fragment.place(lane, (r * each + i) % fragment.count());
        word |= codes[at.line * fragment.length() + at.along] << i * bits;
      }
      std::memcpy(warp.reg<std::byte>(args[r]) + lane * size_t{args[r].width}, &word,
                  args[r].width);
    }
  }
}

// --- Memory ---

// A matrix there: lines of contiguous elements, which are rows or columns of the matrix.
struct Stored {
  uint64_t address = 0;
  uint32_t lines = 0;
  uint32_t bytes = 0;   // of a line
  uint64_t stride = 0;  // bytes
};

[[noreturn]] void differ(Warp& warp, const char* what) {
  warp.fault(Fault::Kind::kIllegalInstruction,
             std::string("the lanes of the warp differ in the ") + what, warp.active);
}

Stored stored(Warp& warp, const WmmaMatrix& fragment, bool is_by_line, const Arg& address,
              const Arg& stride) {
  Stored at;
  at.address = address_in(warp, address, 0);
  at.lines = is_by_line ? fragment.lines() : fragment.length();
  uint64_t elements = is_by_line ? fragment.length() : fragment.lines();
  at.bytes = static_cast<uint32_t>(elements) * fragment.bits() / 8;
  if (stride.offset != kNoArg) elements = warp.integer(stride, 0);
  at.stride = elements * fragment.bits() / 8;
  for (uint32_t lane = 1; lane < kWarpSize; ++lane) {
    if (address_in(warp, address, lane) != at.address) differ(warp, "address of a matrix");
    if (stride.offset != kNoArg && warp.integer(stride, lane) != elements) {
      differ(warp, "stride of a matrix");
    }
  }
  return at;
}

// Host memory of one line.
std::byte* line_at(Warp& warp, const Inst& inst, const Stored& at, uint32_t line, Access access) {
  const uint64_t address = at.address + line * at.stride;
  const Origin origin(warp, 0);
  const uint32_t align = std::min(at.bytes, 4u);  // a register of a fragment is accessed at once
  if (address % align != 0) {
    fault_at(origin, Fault::Kind::kMisaligned,
             "misaligned address: a row or column of a matrix at " + hexadecimal(address) +
                 ", which is no multiple of " + std::to_string(align));
  }
  const bool is_generic = inst.space == Space::kGeneric;
  const bool is_shared =
      is_generic ? address - kSharedWindow < kWindowSize : inst.space == Space::kShared;
  if (!is_shared) return global_place(origin, address, at.bytes, access);
  const SharedPlace place = shared_place(origin, address, at.bytes, align, true);
  Order& order = warp.block().cluster().order();
  if (order.is_enabled()) order.access(warp, *place.block, place.offset, at.bytes, access);
  if (access == Access::kWrite && place.block->shared_written() != nullptr) {
    std::memset(place.block->shared_written() + place.offset, 1, at.bytes);
  }
  return place.data();
}

// Calls f(line's bytes, element along it, code in `codes`) for every element.
template <class F>
void for_each_stored(Warp& warp, const Inst& inst, const WmmaMatrix& fragment, const Stored& at,
                     bool is_by_line, Access access, Codes& codes, F f) {
  for (uint32_t line = 0; line < at.lines; ++line) {
    std::byte* const bytes = line_at(warp, inst, at, line, access);
    const uint32_t count = is_by_line ? fragment.length() : fragment.lines();
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t row = is_by_line ? line : i, column = is_by_line ? i : line;
      f(bytes, i, codes[row * fragment.length() + column]);
    }
  }
}

constexpr int kLayout = 4, kMemoryShape = 5, kMemoryType = 7;

// Rows of wmma.load and wmma.store have the groups load or store, role, sync, aligned, layout,
// shape, space, type.
struct Family {
  std::array<MmaShape, 3> shapes;
  std::array<Format, 4> formats;
};

template <const Family& kFamily, Role kRole>
WmmaMatrix fragment_in_memory(const Inst& inst) {
  return {kFamily.shapes[inst.choice[kMemoryShape]], kRole,
          kFamily.formats[inst.choice[kMemoryType]]};
}
// B is kept by columns.
constexpr bool is_by_line(const Inst& inst, Role role, bool column_only) {
  const bool is_row = !column_only && inst.choice[kLayout] == 0;
  return is_row != (role == Role::kB);
}

template <const Family& kFamily, Role kRole, bool kColumnOnly>
void load(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const WmmaMatrix fragment = fragment_in_memory<kFamily, kRole>(inst);
  const uint32_t count = fragment.registers(), bits = fragment.bits();
  const bool by_line = is_by_line(inst, kRole, kColumnOnly);
  const Stored at = stored(warp, fragment, by_line, inst.arg[count], inst.arg[count + 1]);
  Codes codes{};
  for_each_stored(warp, inst, fragment, at, by_line, Access::kRead, codes,
                  [&](const std::byte* line, uint32_t i, uint64_t& code) {
                    code = 0;
                    std::memcpy(&code, line + i * bits / 8, (bits + 7) / 8);
                    code = code >> i * bits % 8 & mask_of(bits);
                  });
  write_fragment(warp, inst.arg, fragment, codes);
}

template <const Family& kFamily>
void store(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const WmmaMatrix fragment = fragment_in_memory<kFamily, Role::kC>(inst);
  const uint32_t count = fragment.registers(), bytes = fragment.bits() / 8;
  const bool by_line = is_by_line(inst, Role::kC, false);
  const Stored at = stored(warp, fragment, by_line, inst.arg[0], inst.arg[count + 1]);
  Codes codes{};
  read_fragment(warp, inst.arg + 1, fragment, codes);
  for_each_stored(warp, inst, fragment, at, by_line, Access::kWrite, codes,
                  [&](std::byte* line, uint32_t i, uint64_t code) {
                    std::memcpy(line + size_t{i} * bytes, &code, bytes);
                  });
}

template <const Family& kFamily, Role kRole, bool kColumnOnly = false>
Body load_of(const Inst& inst) {
  const uint32_t count = fragment_in_memory<kFamily, kRole>(inst).registers();
  return inst.arg_count == count + 2 ? load<kFamily, kRole, kColumnOnly> : nullptr;
}
template <const Family& kFamily>
Body store_of(const Inst& inst) {
  const uint32_t count = fragment_in_memory<kFamily, Role::kC>(inst).registers();
  return inst.arg_count == count + 2 ? store<kFamily> : nullptr;
}

// --- Multiplication ---

// Groups: mma, sync, aligned, layouts of A and B, shape, types of D, A, B, C, then others.
constexpr int kMmaShape = 5, kMmaD = 6, kMmaA = 7, kMmaB = 8, kMmaOption = 10;
// Without types of A and B.
constexpr int kHalfC = 7;

struct Multiplication {
  WmmaMatrix a, b, c, d;
  bool saturates = false;
  bool conjunction = false;

  uint32_t at_a() const { return d.registers(); }
  uint32_t at_b() const { return at_a() + a.registers(); }
  uint32_t at_c() const { return at_b() + b.registers(); }
  uint32_t args() const { return at_c() + c.registers(); }
};

Multiplication multiplication(MmaShape shape, Format ab, Format c, Format d) {
  return {{shape, Role::kA, ab}, {shape, Role::kB, ab}, {shape, Role::kC, c}, {shape, Role::kC, d}};
}

uint32_t widened(uint64_t half) {
  return std::bit_cast<uint32_t>(to_float(Half{static_cast<uint16_t>(half)}));
}
uint32_t narrowed(uint32_t single) { return to_half<Half>(std::bit_cast<float>(single)).bits; }

// tf32, the first four along k and then the others: ptxas makes two instructions of it.
void multiply_in_steps(tensor::Multiply shape, const uint32_t* a, const uint32_t* b, uint32_t* d) {
  if (shape.a != Format::kTf32 || shape.arithmetic == tensor::Arithmetic::kExact) {
    return tensor::multiply(shape, a, b, nullptr, nullptr, d);
  }
  constexpr uint32_t kStep = 4;
  const uint32_t k = std::exchange(shape.k, kStep);
  std::array<uint32_t, 16 * kStep> part_a{}, part_b{};
  for (uint32_t first = 0; first < k; first += kStep) {
    for (uint32_t i = 0; i < part_a.size(); ++i) {
      part_a[i] = a[i / kStep * k + first + i % kStep];
      part_b[i] = b[i / kStep * k + first + i % kStep];
    }
    tensor::multiply(shape, part_a.data(), part_b.data(), nullptr, nullptr, d);
  }
}

void run(Warp& warp, const Inst& inst, const Multiplication& wmma) {
  if (!gather_warp(warp)) return;
  Codes a{}, b{}, c{};
  read_fragment(warp, inst.arg + wmma.at_a(), wmma.a, a);
  read_fragment(warp, inst.arg + wmma.at_b(), wmma.b, b);
  read_fragment(warp, inst.arg + wmma.at_c(), wmma.c, c);
  std::array<uint32_t, kMostElements> codes_a, codes_b;
  std::array<uint32_t, kMostElements> codes_d;
  for (size_t i = 0; i < a.size(); ++i) {
    codes_a[i] = static_cast<uint32_t>(a[i]);
    codes_b[i] = static_cast<uint32_t>(b[i]);
  }
  // Where C and D differ in type, both are f32 in between.
  const bool is_mixed = wmma.c.format != wmma.d.format;
  for (size_t i = 0; i < c.size(); ++i) {
    const bool widens = is_mixed && wmma.c.format == Format::kF16;
    codes_d[i] = widens ? widened(c[i]) : static_cast<uint32_t>(c[i]);
  }
  tensor::Multiply shape;
  shape.m = wmma.a.shape.m;
  shape.n = wmma.a.shape.n;
  shape.k = wmma.a.shape.k;
  shape.a = shape.b = wmma.a.format;
  shape.d = is_mixed ? Format::kF32 : wmma.d.format;
  shape.arithmetic = mma_arithmetic(warp, dense(wmma.a.format), false);
  shape.saturates = wmma.saturates;
  shape.conjunction = wmma.conjunction;
  multiply_in_steps(shape, codes_a.data(), codes_b.data(), codes_d.data());
  for (size_t i = 0; i < c.size(); ++i) {
    const bool narrows = is_mixed && wmma.d.format == Format::kF16;
    c[i] = narrows ? narrowed(codes_d[i]) : codes_d[i];
  }
  write_fragment(warp, inst.arg, wmma.d, c);
}

constexpr std::array<Format, 2> kHalfOrSingle = {Format::kF16, Format::kF32};
constexpr std::array<MmaShape, 3> kSquareAndLong = {{{16, 16, 16}, {8, 32, 16}, {32, 8, 16}}};

Multiplication half_of(const Inst& inst) {
  return multiplication(kSquareAndLong[inst.choice[kMmaShape]], Format::kF16,
                        kHalfOrSingle[inst.choice[kHalfC]], kHalfOrSingle[inst.choice[kMmaD]]);
}
void multiply_half(Warp& warp, const Inst& inst) { run(warp, inst, half_of(inst)); }
Body multiply_half_of(const Inst& inst) {
  return inst.arg_count == half_of(inst).args() ? multiply_half : nullptr;
}

struct MultiplyFamily {
  std::array<MmaShape, 3> shapes;
  std::array<Format, 2> operands;
  Format result;
};
constexpr MultiplyFamily kBf16Multiply = {kSquareAndLong, {Format::kBf16}, Format::kF32};
constexpr MultiplyFamily kTf32Multiply = {{{{16, 16, 8}}}, {Format::kTf32}, Format::kF32};
constexpr MultiplyFamily kByteMultiply = {kSquareAndLong, {Format::kU8, Format::kS8}, Format::kS32};
constexpr MultiplyFamily kNibbleMultiply = {
    {{{8, 8, 32}}}, {Format::kU4, Format::kS4}, Format::kS32};
constexpr MultiplyFamily kBitMultiply = {{{{8, 8, 128}}}, {Format::kB1}, Format::kS32};
constexpr MultiplyFamily kF64Multiply = {{{{8, 8, 4}}}, {Format::kF64}, Format::kF64};

template <const MultiplyFamily& kFamily>
Multiplication multiplication_of(const Inst& inst) {
  Multiplication wmma =
      multiplication(kFamily.shapes[inst.choice[kMmaShape]], kFamily.operands[inst.choice[kMmaA]],
                     kFamily.result, kFamily.result);
  // As for mma.sync, .satfinite has no effect on s4 and u4.
  wmma.saturates = &kFamily == &kByteMultiply && inst.choice[kMmaOption] != kAbsent;
  wmma.conjunction = &kFamily == &kBitMultiply && inst.choice[kMmaOption] == 1;
  return wmma;
}
template <const MultiplyFamily& kFamily>
void multiply(Warp& warp, const Inst& inst) {
  run(warp, inst, multiplication_of<kFamily>(inst));
}
template <const MultiplyFamily& kFamily, Body kBody = multiply<kFamily>>
Body multiply_of(const Inst& inst) {
  const bool fits = inst.choice[kMmaA] == inst.choice[kMmaB] &&
                    inst.arg_count == multiplication_of<kFamily>(inst).args();
  return fits ? kBody : nullptr;
}

// Fused multiply-adds in the order of k.
void multiply_f64(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const Multiplication wmma = multiplication_of<kF64Multiply>(inst);
  const uint32_t k = wmma.a.shape.k;
  Codes a{}, b{}, c{};
  read_fragment(warp, inst.arg + wmma.at_a(), wmma.a, a);
  read_fragment(warp, inst.arg + wmma.at_b(), wmma.b, b);
  read_fragment(warp, inst.arg + wmma.at_c(), wmma.c, c);
  {
    const RoundingScope scope(rounding_of(inst, kMmaOption));
    for (uint32_t row = 0; row < 8; ++row) {
      for (uint32_t column = 0; column < 8; ++column) {
        auto sum = std::bit_cast<double>(c[row * 8 + column]);
        for (uint32_t i = 0; i < k; ++i) {
          const double x = pinned(std::bit_cast<double>(a[row * k + i]));
          const double y = pinned(std::bit_cast<double>(b[column * k + i]));
          sum = settle(pinned(std::fma(x, y, sum)), x, y, sum);
        }
        c[row * 8 + column] = std::bit_cast<uint64_t>(sum);
      }
    }
  }
  write_fragment(warp, inst.arg, wmma.d, c);
}

// --- Rows ---

constexpr Family kHalfIn = {kSquareAndLong,
                            {Format::kF16, Format::kBf16, Format::kU8, Format::kS8}};
constexpr Family kTf32In = {{{{16, 16, 8}}}, {Format::kTf32}};
constexpr Family kF64In = {{{{8, 8, 4}}}, {Format::kF64}};
constexpr Family kNibbleIn = {{{{8, 8, 32}}}, {Format::kU4, Format::kS4}};
constexpr Family kBitIn = {{{{8, 8, 128}}}, {Format::kB1}};
constexpr Family kHalfOut = {kSquareAndLong, {Format::kF16, Format::kF32, Format::kS32}};
constexpr Family kTf32Out = {{{{16, 16, 8}}}, {Format::kF32}};
constexpr Family kSmallOut = {{{{8, 8, 32}, {8, 8, 128}}}, {Format::kS32}};

const char* const kShapes = "{m16n16k16,m8n32k16,m32n8k16}";

void append_memory_rows_of_wmma(Rows& rows) {
  const std::string space = "{.global,.shared,.shared::cta}.";
  const std::string in = " {d:b32}, [p], s:b32?", wide_in = " {d:f64}, [p], s:b32?";
  const std::string out = " [p], {r:b32}, s:b32?", wide_out = " [p], {r:f64}, s:b32?";
  auto load = [&](const char* role, const char* layout, const std::string& shape,
                  const std::string& types, const std::string& operands, uint32_t target,
                  Select select) {
    rows.push_back({"wmma.load." + std::string(role) + ".sync.aligned." + layout + "." + shape +
                        space + types + operands,
                    {target},
                    nullptr,
                    select});
  };
  const char* const any = "{row,col}";
  const std::string halves = "{f16,bf16,u8,s8}";
  load("a", any, kShapes, halves, in, 70, load_of<kHalfIn, Role::kA>);
  load("b", any, kShapes, halves, in, 70, load_of<kHalfIn, Role::kB>);
  load("c", any, kShapes, "{f16,f32,s32}", in, 70, load_of<kHalfOut, Role::kC>);
  load("a", any, "m16n16k8", "tf32", in, 80, load_of<kTf32In, Role::kA>);
  load("b", any, "m16n16k8", "tf32", in, 80, load_of<kTf32In, Role::kB>);
  load("c", any, "m16n16k8", "f32", in, 80, load_of<kTf32Out, Role::kC>);
  load("a", any, "m8n8k4", "f64", wide_in, 80, load_of<kF64In, Role::kA>);
  load("b", any, "m8n8k4", "f64", wide_in, 80, load_of<kF64In, Role::kB>);
  load("c", any, "m8n8k4", "f64", wide_in, 80, load_of<kF64In, Role::kC>);
  load("a", "row", "m8n8k32", "{u4,s4}", in, 75, load_of<kNibbleIn, Role::kA>);
  load("b", "col", "m8n8k32", "{u4,s4}", in, 75, load_of<kNibbleIn, Role::kB, true>);
  load("a", "row", "m8n8k128", "b1", in, 75, load_of<kBitIn, Role::kA>);
  load("b", "col", "m8n8k128", "b1", in, 75, load_of<kBitIn, Role::kB, true>);
  load("c", any, "{m8n8k32,m8n8k128}", "s32", in, 75, load_of<kSmallOut, Role::kC>);
  auto store = [&](const std::string& shape, const std::string& types, const std::string& operands,
                   uint32_t target, Select select) {
    rows.push_back({"wmma.store.d.sync.aligned.{row,col}." + shape + space + types + operands,
                    {target},
                    nullptr,
                    select});
  };
  store(kShapes, "{f16,f32,s32}", out, 70, store_of<kHalfOut>);
  store("m16n16k8", "f32", out, 80, store_of<kTf32Out>);
  store("m8n8k4", "f64", wide_out, 80, store_of<kF64In>);
  store("{m8n8k32,m8n8k128}", "s32", out, 75, store_of<kSmallOut>);
}

}  // namespace

void append_wmma_rows(Rows& rows) {
  append_memory_rows_of_wmma(rows);
  const std::string mma = "wmma.mma.sync.aligned.", any = "{row,col}.{row,col}.";
  const std::string shapes = kShapes;
  const std::string operands = " {d:b32}, {a:b32}, {b:b32}, {c:b32}";
  const Row wmma_rows[] = {
      {mma + any + shapes + ".{f16,f32}.{f16,f32}" + operands, {70}, nullptr, multiply_half_of},
      {mma + any + shapes + ".f32.bf16.bf16.f32" + operands,
       {80},
       nullptr,
       multiply_of<kBf16Multiply>},
      {mma + any + "m16n16k8.f32.tf32.tf32.f32" + operands,
       {80},
       nullptr,
       multiply_of<kTf32Multiply>},
      {mma + any + shapes + ".s32.{u8,s8}.{u8,s8}.s32{.satfinite}" + operands,
       {72},
       nullptr,
       multiply_of<kByteMultiply>},
      {mma + "row.col.m8n8k32.s32.{u4,s4}.{u4,s4}.s32{.satfinite}" + operands,
       {75},
       nullptr,
       multiply_of<kNibbleMultiply>},
      {mma + "row.col.m8n8k128.s32.b1.b1.s32.{xor,and}.popc" + operands,
       {75},
       nullptr,
       multiply_of<kBitMultiply>},
      {mma + any + "m8n8k4.f64.f64.f64.f64{.rn,.rz,.rm,.rp} {d:f64}, {a:f64}, {b:f64}, {c:f64}",
       {80},
       nullptr,
       multiply_of<kF64Multiply, multiply_f64>},
  };
  rows.insert(rows.end(), std::begin(wmma_rows), std::end(wmma_rows));
}

}  // namespace nibble::emulator
