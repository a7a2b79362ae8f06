// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/counters.h"

#include <algorithm>
#include <bit>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/code.h"

namespace nibble::emulator {

namespace {

enum class Home : uint8_t { kGlobal, kShared, kOther };

Home home_of(Space space, uint64_t address) {
  switch (space) {
    case Space::kGlobal:
      return Home::kGlobal;
    case Space::kShared:
    case Space::kSharedCluster:
      return Home::kShared;
    case Space::kGeneric:
      if (address - kSharedWindow < kWindowSize) return Home::kShared;
      // Local and parameter windows follow one another.
      return address - kLocalWindow < 2 * kWindowSize ? Home::kOther : Home::kGlobal;
    default:
      return Home::kOther;
  }
}

// Pieces of 2^shift bytes that `lanes` neighbours touch. An aligned access is in one piece; steps
// below a piece's size leave none out.
uint64_t pieces(uint64_t lowest, uint64_t step, uint32_t lanes, uint32_t bytes, int shift) {
  if (step >> shift != 0) return lanes;
  const uint64_t last = lowest + step * (lanes - 1) + bytes - 1;
  return (last >> shift) - (lowest >> shift) + 1;
}

constexpr int kSectorShift = std::countr_zero(kSectorBytes);
constexpr int kLineShift = std::countr_zero(kLineBytes);

// Different values of a few, in any order.
class Distinct {
 public:
  bool add(uint64_t value) {
    auto at = static_cast<uint32_t>(value * 0x9E3779B97F4A7C15u >> 58);
    for (; (used_ >> at & 1) != 0; at = (at + 1) % kSlots) {
      if (values_[at] == value) return false;
    }
    used_ |= uint64_t{1} << at;
    values_[at] = value;
    return true;
  }

 private:
  static constexpr uint32_t kSlots = 64;
  uint64_t used_ = 0;
  uint64_t values_[kSlots];  // where used
};

// Of all lanes, at addresses that never fall: a piece begins where neighbours are not in the same.
// False where they do fall. The loop vectorises.
bool count_rising(GlobalCounts& counts, const uint64_t* addresses) {
  uint64_t falls = 0, sectors = 1, lines = 1;
  for (int lane = 1; lane < kWarpSize; ++lane) {
    falls |= addresses[lane] - addresses[lane - 1];
    const uint64_t differing = addresses[lane] ^ addresses[lane - 1];
    sectors += differing >> kSectorShift != 0 ? 1 : 0;
    lines += differing >> kLineShift != 0 ? 1 : 0;
  }
  if (falls >> 63 != 0) return false;
  counts.sectors += sectors;
  counts.lines += lines;
  return true;
}

// Of lanes whose addresses are all within a kilobyte of the first one's: a bit for each sector.
// False where they are not. The loop vectorises.
bool count_near(GlobalCounts& counts, uint32_t lanes, const uint64_t* addresses) {
  constexpr uint64_t kSectors = 64;
  constexpr uint64_t kInLine = kLineBytes / kSectorBytes;
  const uint64_t first = addresses[std::countr_zero(lanes)] >> kLineShift << kLineShift;
  const uint64_t base = first - kSectors / 2 * kSectorBytes;
  uint64_t sectors = 0, outside = 0;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    const uint64_t is_active = lanes >> lane & 1;
    const uint64_t sector = (addresses[lane] - base) >> kSectorShift;
    outside |= (0 - is_active) & sector;
    sectors |= is_active << (sector & (kSectors - 1));
  }
  if (outside >= kSectors) return false;
  uint64_t lines = sectors | sectors >> 1;
  lines = (lines | lines >> 2) & 0x1111111111111111;  // the first bit of each line's four
  static_assert(kInLine == 4);
  counts.sectors += static_cast<uint32_t>(std::popcount(sectors));
  counts.lines += static_cast<uint32_t>(std::popcount(lines));
  return true;
}

// Sectors and lines of lanes in any places.
void count_global(GlobalCounts& counts, uint32_t lanes, const uint64_t* addresses) {
  if (lanes == kAllLanes && count_rising(counts, addresses)) return;
  if (count_near(counts, lanes, addresses)) return;
  uint64_t sectors = 0, lines = 0, before = ~uint64_t{0};
  bool rises = true;
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const uint64_t sector = addresses[std::countr_zero(rest)] >> kSectorShift;
    rises &= before == ~uint64_t{0} || sector >= before;
    sectors += sector != before ? 1 : 0;
    lines += sector >> (kLineShift - kSectorShift) != before >> (kLineShift - kSectorShift) ? 1 : 0;
    before = sector;
  }
  if (!rises) {
    sectors = lines = 0;
    Distinct seen, seen_lines;
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      const uint64_t address = addresses[std::countr_zero(rest)];
      if (!seen.add(address >> kSectorShift)) continue;
      ++sectors;
      if (seen_lines.add(address >> kLineShift)) ++lines;
    }
  }
  counts.sectors += sectors;
  counts.lines += lines;
}

// Lanes that go together in shared memory, and the pieces that their addresses count in.
struct Phase {
  uint32_t lanes;
  int shift;
};
Phase phase_of(uint32_t bytes) {
  const uint32_t unit = std::max(bytes, 4u);
  return {kBanks * 4 / unit, std::countr_zero(unit)};
}

// Different units at the same position modulo the phase's lanes are the wavefronts of that
// position; the phase takes the most of any.
uint32_t wavefronts_of_phase(uint32_t lanes, const uint64_t* addresses, Phase phase) {
  uint64_t first[kWarpSize];
  uint8_t depth[kWarpSize];
  Distinct others;
  uint32_t occupied = 0, most = 0;
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const uint64_t unit = addresses[std::countr_zero(rest)] >> phase.shift;
    const auto position = static_cast<uint32_t>(unit) & (phase.lanes - 1);
    if ((occupied >> position & 1) == 0) {
      occupied |= 1u << position;
      first[position] = unit;
      depth[position] = 1;
    } else if (first[position] != unit && others.add(unit)) {
      ++depth[position];
    }
    most = std::max<uint32_t>(most, depth[position]);
  }
  return most;
}

// kTogether: the phase's lanes, known at compile time, so that the inner loop vectorises.
template <uint32_t kTogether>
void count_phases(SharedCounts& counts, uint32_t lanes, const uint64_t* addresses, int shift) {
  constexpr uint32_t kAll = kTogether == kWarpSize ? kAllLanes : (1u << kTogether) - 1;
  for (uint32_t from = 0; from < kWarpSize; from += kTogether) {
    const uint32_t these = lanes & kAll << from;
    if (these == 0) continue;
    uint32_t positions = 0;
    for (uint32_t lane = from; lane < from + kTogether; ++lane) {
      const uint32_t unit = static_cast<uint32_t>(addresses[lane]) >> shift;
      positions |= (lanes >> lane & 1) << (unit & (kTogether - 1));
    }
    ++counts.least;
    counts.wavefronts += std::popcount(positions) == std::popcount(these)
                             ? 1
                             : wavefronts_of_phase(these, addresses, {kTogether, shift});
  }
}

void count_shared(SharedCounts& counts, uint32_t lanes, const uint64_t* addresses, uint32_t bytes) {
  const Phase phase = phase_of(bytes);
  switch (phase.lanes) {
    case 32:
      return count_phases<32>(counts, lanes, addresses, phase.shift);
    case 16:
      return count_phases<16>(counts, lanes, addresses, phase.shift);
    case 8:
      return count_phases<8>(counts, lanes, addresses, phase.shift);
    default:  // 32 bytes a lane
      return count_phases<4>(counts, lanes, addresses, phase.shift);
  }
}

// All lanes, a fixed number of units apart: a power of two of them meet in each bank.
bool count_shared_strided(SharedCounts& counts, int64_t step, uint32_t bytes) {
  const Phase phase = phase_of(bytes);
  const auto apart = static_cast<uint64_t>(step) >> phase.shift;
  if (static_cast<uint64_t>(step) != apart << phase.shift) return false;
  const uint64_t meeting = apart & (0 - apart);  // the largest power of two that divides it
  const uint64_t phases = kWarpSize / phase.lanes;
  counts.least += phases;
  counts.wavefronts += phases * (apart == 0 ? 1 : std::min<uint64_t>(meeting, phase.lanes));
  return true;
}

void spread(uint64_t first, int64_t step, uint64_t* addresses) {
  for (int64_t lane = 0; lane < kWarpSize; ++lane) {
    addresses[lane] = first + static_cast<uint64_t>(lane * step);
  }
}

}  // namespace

void count_strided(const Warp& warp, const Inst& inst, uint64_t first, int64_t step,
                   uint32_t bytes) {
  InstCounts& counts = warp.counters->detail[inst.id];
  const uint32_t active = warp.active;
  const auto lanes = static_cast<uint32_t>(std::popcount(active));
  const int low = std::countr_zero(active);
  const uint64_t at = first + static_cast<uint64_t>(low * step);
  switch (home_of(inst.space, at)) {
    case Home::kGlobal: {
      counts.global.requests += 1;
      counts.global.bytes += uint64_t{lanes} * bytes;
      const uint32_t run = active >> low;
      if ((run & (run + 1)) != 0) {  // not neighbours
        uint64_t addresses[kWarpSize];
        spread(first, step, addresses);
        return count_global(counts.global, active, addresses);
      }
      const auto apart = static_cast<uint64_t>(step < 0 ? -step : step);
      const uint64_t lowest = step < 0 ? at - apart * (lanes - 1) : at;
      counts.global.sectors += pieces(lowest, apart, lanes, bytes, kSectorShift);
      counts.global.lines += pieces(lowest, apart, lanes, bytes, kLineShift);
      return;
    }
    case Home::kShared: {
      counts.shared.requests += 1;
      counts.shared.bytes += uint64_t{lanes} * bytes;
      if (active == kAllLanes && count_shared_strided(counts.shared, step, bytes)) return;
      uint64_t addresses[kWarpSize];
      spread(first, step, addresses);
      return count_shared(counts.shared, active, addresses, bytes);
    }
    case Home::kOther:
      counts.other_bytes += uint64_t{lanes} * bytes;
  }
}

namespace {

// False where the instruction's latest pattern is another, which this one then replaces. The loop
// vectorises.
bool is_repeated(AccessPattern& pattern, uint32_t lanes, const uint64_t* addresses) {
  const uint64_t first = addresses[std::countr_zero(lanes)];
  const auto offset = static_cast<uint32_t>(first % kLineBytes);
  if (pattern.lanes == lanes && pattern.offset == offset) {
    uint64_t differing = 0;
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      const uint64_t active = 0 - static_cast<uint64_t>(lanes >> lane & 1);
      differing |= active & (addresses[lane] - first - pattern.distance[lane]);
    }
    if (differing == 0) return true;
  }
  pattern.lanes = lanes;
  pattern.offset = offset;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane)
    pattern.distance[lane] = addresses[lane] - first;
  return false;
}

// All lanes in one of the two.
void count_pattern(const Warp& warp, const Inst& inst, const uint64_t* addresses, uint32_t bytes,
                   bool is_shared) {
  Counters& counters = *warp.counters;
  std::unique_ptr<AccessPattern>& pattern = counters.patterns[2 * inst.id + (is_shared ? 1 : 0)];
  if (pattern == nullptr) pattern = std::make_unique<AccessPattern>();
  if (!is_repeated(*pattern, warp.active, addresses)) {
    pattern->global = {};
    pattern->shared = {};
    const uint64_t all = uint64_t{bytes} * static_cast<uint32_t>(std::popcount(warp.active));
    if (is_shared) {
      pattern->shared.requests = 1;
      pattern->shared.bytes = all;
      count_shared(pattern->shared, warp.active, addresses, bytes);
    } else {
      pattern->global.requests = 1;
      pattern->global.bytes = all;
      count_global(pattern->global, warp.active, addresses);
    }
  }
  InstCounts& counts = counters.detail[inst.id];
  if (is_shared) {
    counts.shared.add(pattern->shared);
  } else {
    counts.global.add(pattern->global);
  }
}

void count_remote(const Warp& warp, SharedCounts& counts, uint32_t lanes, const uint64_t* addresses,
                  uint32_t bytes) {
  constexpr uint32_t kRankBits = (1u << (32 - kRankShift)) - 1;
  if (warp.block().cluster().size() == 1) return;
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const uint64_t rank = addresses[std::countr_zero(rest)] >> kRankShift & kRankBits;
    if (rank != warp.block().rank()) counts.remote += bytes;
  }
}

}  // namespace

void count_scattered(const Warp& warp, const Inst& inst, const uint64_t* addresses,
                     uint32_t bytes) {
  InstCounts& counts = warp.counters->detail[inst.id];
  if (inst.space != Space::kGeneric) {
    const Home home = home_of(inst.space, 0);
    if (home == Home::kOther) {
      counts.other_bytes += uint64_t{bytes} * static_cast<uint32_t>(std::popcount(warp.active));
      return;
    }
    count_pattern(warp, inst, addresses, bytes, home == Home::kShared);
    if (home == Home::kShared) count_remote(warp, counts.shared, warp.active, addresses, bytes);
    return;
  }
  uint32_t in[3] = {0, 0, 0};  // lanes, by home
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const uint64_t address = addresses[std::countr_zero(rest)];
    in[static_cast<size_t>(home_of(inst.space, address))] |= rest & (0 - rest);
  }
  const auto bytes_of = [&](Home home) {
    return uint64_t{bytes} * static_cast<uint32_t>(std::popcount(in[static_cast<size_t>(home)]));
  };
  if (const uint32_t lanes = in[static_cast<size_t>(Home::kGlobal)]; lanes != 0) {
    counts.global.requests += 1;
    counts.global.bytes += bytes_of(Home::kGlobal);
    count_global(counts.global, lanes, addresses);
  }
  if (const uint32_t lanes = in[static_cast<size_t>(Home::kShared)]; lanes != 0) {
    counts.shared.requests += 1;
    counts.shared.bytes += bytes_of(Home::kShared);
    count_shared(counts.shared, lanes, addresses, bytes);
    count_remote(warp, counts.shared, lanes, addresses, bytes);
  }
  counts.other_bytes += bytes_of(Home::kOther);
}

void count_operation(Counters& counters, const Operation& operation,
                     const std::vector<Extent>& extents) {
  AsyncCounts& counts = counters.detail[operation.origin().inst->id].async;
  ++counts.operations;
  counts.global += operation.global_bytes();
  for (const Extent& extent : extents) {
    const bool reads = extent.access == Access::kRead;
    if (extent.is_tensor) {
      (reads ? counts.tensor_read : counts.tensor_written) +=
          uint64_t{extent.tensor.lanes} * extent.tensor.columns * sizeof(uint32_t);
    } else {
      (reads ? counts.shared_read : counts.shared_written) += extent.bytes;
    }
  }
}

void count_mma(const Warp& warp, const Inst& inst, uint32_t m, uint32_t n, uint32_t k) {
  if (warp.counters != nullptr) ++warp.counters->multiplications[{inst.id, m, n, k}];
}

namespace {
template <class Counts, class... Numbers>
void add_each(Counts& to, const Counts& from, Numbers... numbers) {
  ((to.*numbers += from.*numbers), ...);
}
}  // namespace

void GlobalCounts::add(const GlobalCounts& other) {
  using C = GlobalCounts;
  add_each(*this, other, &C::requests, &C::bytes, &C::sectors, &C::lines);
}

void SharedCounts::add(const SharedCounts& other) {
  using C = SharedCounts;
  add_each(*this, other, &C::requests, &C::bytes, &C::wavefronts, &C::least, &C::remote);
}

void AsyncCounts::add(const AsyncCounts& other) {
  using C = AsyncCounts;
  add_each(*this, other, &C::operations, &C::global, &C::shared_read, &C::shared_written,
           &C::tensor_read, &C::tensor_written);
}

void Counters::add(const Counters& other) {
  for (size_t id = 0; id < executed.size(); ++id) {
    if (other.executed[id] == 0) continue;
    executed[id] += other.executed[id];
    InstCounts& to = detail[id];
    const InstCounts& from = other.detail[id];
    to.waits += from.waits;
    to.global.add(from.global);
    to.shared.add(from.shared);
    to.other_bytes += from.other_bytes;
    to.tensor_bytes += from.tensor_bytes;
    to.async.add(from.async);
  }
  for (const auto& [issue, count] : other.multiplications) multiplications[issue] += count;
}

}  // namespace nibble::emulator
