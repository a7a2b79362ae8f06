// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mma.sync of f64, and m8n8k4 of f16, which no target from sm_80 on has an instruction for.
#include <cmath>
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/arithmetic.h"
#include "runtime/emulator/ops/formats.h"
#include "runtime/emulator/ops/mma.h"

namespace nibble::emulator {

namespace {

using tensor::Format;

constexpr MmaFamily kF64Small = {{{{8, 8, 4}}}, {Format::kF64}, {dense(Format::kF64)}};
constexpr MmaFamily kF64 = {
    {{{16, 8, 4}, {16, 8, 8}, {16, 8, 16}}}, {Format::kF64}, {dense(Format::kF64)}};
constexpr int kRoundingGroup = 9;

// Fused multiply-adds in the order of k.
template <const MmaFamily& kFamily>
void multiply_f64(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const Mma mma = mma_of(kFamily, inst);
  const uint32_t k = mma.shape.k, n = mma.shape.n;
  double a[16 * 16], b[8 * 16], c[16 * 8];
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    auto value = [&](uint32_t arg) { return warp.reg<const double>(inst.arg[arg])[lane]; };
    for (uint32_t i = 0; i < mma.count_a(); ++i) {
      const Place place = place_in_a(lane, i, 1);
      a[place.line * k + place.along] = value(mma.at_a() + i);
    }
    for (uint32_t i = 0; i < mma.count_b(); ++i) {
      const Place place = place_in_b(lane, i, 1);
      b[place.line * k + place.along] = value(mma.at_b() + i);
    }
    for (uint32_t i = 0; i < mma.count_c(); ++i) {
      const Place place = place_in_c(lane, i);
      c[place.line * n + place.along] = value(mma.at_c() + i);
    }
  }
  {
    const RoundingScope scope(rounding_of(inst, kRoundingGroup));
    for (uint32_t row = 0; row < mma.shape.m; ++row) {
      for (uint32_t column = 0; column < n; ++column) {
        double sum = c[row * n + column];
        for (uint32_t i = 0; i < k; ++i) {
          const double x = pinned(a[row * k + i]), y = pinned(b[column * k + i]);
          sum = settle(pinned(std::fma(x, y, sum)), x, y, sum);
        }
        c[row * n + column] = sum;
      }
    }
  }
  for (uint32_t i = 0; i < mma.count_c(); ++i) {
    if (inst.arg[i].offset == kNoArg) continue;
    double* const d = warp.reg<double>(inst.arg[i]);
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      const Place place = place_in_c(lane, i);
      d[lane] = c[place.line * n + place.along];
    }
  }
}

template <const MmaFamily& kFamily>
Body multiply_f64_of(const Inst& inst) {
  return inst.arg_count == mma_of(kFamily, inst).at_rest() ? multiply_f64<kFamily> : nullptr;
}

// --- m8n8k4 of f16: four multiplications at once ---

// Lanes 4 q to 4 q + 3 and 4 q + 16 to 4 q + 19 have multiplication q's rows and columns.
constexpr uint32_t lane_of(uint32_t quad, uint32_t line) {
  return quad * 4 + line % 4 + line / 4 * 16;
}

// Elements (line, i) of A by rows, of B by columns; `along`: neighbours in a register are i's.
float quad_element(Warp& warp, const Arg* args, uint32_t quad, uint32_t line, uint32_t i,
                   bool along) {
  const uint32_t lane = along ? lane_of(quad, line) : quad * 4 + i + line / 4 * 16;
  const uint32_t at = along ? i : line % 4;
  const uint32_t word = warp.reg<const uint32_t>(args[at / 2])[lane];
  return to_float(Half{static_cast<uint16_t>(word >> at % 2 * 16)});
}

struct QuadPlace {
  uint32_t lane = 0, index = 0;
};
// Of C and D (9.7.14.5.1). f16: eight columns of a row. f32: two rows, two pairs of columns.
constexpr QuadPlace quad_place(uint32_t quad, uint32_t row, uint32_t column, bool is_f32) {
  if (!is_f32) return {lane_of(quad, row), column};
  const uint32_t lane = quad * 4 + (row & 1) + (column & 2) + (row / 4) * 16;
  return {lane, (row & 2) + (column & 4) + (column & 1)};
}

// As ptxas 13.0 translates it for sm_80 and up: f32 arithmetic.
float quad_sum(const float* a, const float* b, float c, bool is_f32) {
  if (is_f32) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum = std::fma(a[i], b[i], sum);
    return c + sum;
  }
  const float first = std::fma(a[1], b[1], a[0] * b[0]);
  const float second = std::fma(a[3], b[3], a[2] * b[2]);
  return c + first + second;
}

constexpr int kALayoutGroup = 3, kBLayoutGroup = 4;

void multiply_quads(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const bool d_is_f32 = inst.choice[kResultGroup] == 1, c_is_f32 = inst.choice[kCGroup] == 1;
  const bool a_is_row = inst.choice[kALayoutGroup] == 0;
  const bool b_is_row = inst.choice[kBLayoutGroup] == 0;
  const Arg* const a_args = inst.arg + (d_is_f32 ? 8 : 4);
  const Arg* const b_args = a_args + 2;
  const Arg* const c_args = b_args + 2;
  uint32_t result[8][kWarpSize] = {};  // by element: f16 in the low half
  for (uint32_t at = 0; at < 4 * 64; ++at) {
    const uint32_t quad = at / 64, row = at / 8 % 8, column = at % 8;
    float a[4], b[4];
    for (uint32_t i = 0; i < 4; ++i) {
      a[i] = quad_element(warp, a_args, quad, row, i, a_is_row);
      b[i] = quad_element(warp, b_args, quad, column, i, !b_is_row);
    }
    const QuadPlace from = quad_place(quad, row, column, c_is_f32);
    const uint32_t* const words =
        warp.reg<const uint32_t>(c_args[c_is_f32 ? from.index : from.index / 2]);
    const float c =
        c_is_f32 ? std::bit_cast<float>(words[from.lane])
                 : to_float(Half{static_cast<uint16_t>(words[from.lane] >> from.index % 2 * 16)});
    const float sum = quad_sum(a, b, c, d_is_f32);
    const QuadPlace to = quad_place(quad, row, column, d_is_f32);
    result[to.index][to.lane] =
        d_is_f32 ? std::bit_cast<uint32_t>(settle(sum, sum)) : to_half<Half>(sum).bits;
  }
  write_codes(warp, inst.arg, d_is_f32 ? 32 : 16, 8,
              [&](uint32_t lane, uint32_t i) { return result[i][lane]; });
}

Body multiply_quads_of(const Inst& inst) {
  const uint32_t d = inst.choice[kResultGroup] == 1 ? 8 : 4;
  const uint32_t c = inst.choice[kCGroup] == 1 ? 8 : 4;
  return d >= c && inst.arg_count == d + c + 4 ? multiply_quads : nullptr;
}

}  // namespace

void append_mma_f64_rows(Rows& rows) {
  const std::string operands =
      ".row.col.f64.f64.f64.f64{.rn,.rz,.rm,.rp} {d:f64}, {a:f64}, {b:f64}, {c:f64}";
  rows.push_back({"mma.sync.aligned.m8n8k4" + operands, {80}, nullptr, multiply_f64_of<kF64Small>});
  rows.push_back({"mma.sync.aligned.{m16n8k4,m16n8k8,m16n8k16}" + operands,
                  {90},
                  nullptr,
                  multiply_f64_of<kF64>});
}

void append_mma_quad_rows(Rows& rows) {
  rows.push_back(
      {"mma.sync.aligned.m8n8k4.{row,col}.{row,col}.{f16,f32}.f16.f16.{f16,f32} "
       "{d:b32}, {a:b32}, {b:b32}, {c:b32}",
       {70},
       nullptr,
       multiply_quads_of});
}

}  // namespace nibble::emulator
