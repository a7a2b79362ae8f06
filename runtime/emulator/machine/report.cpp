// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/report.h"

#include <bit>
#include <cstdio>

#include "runtime/emulator/machine/block.h"

namespace nibble::emulator {

std::string to_text(const Dim3& position) {
  std::string text = "(";
  text.append(std::to_string(position[0])).append(",").append(std::to_string(position[1]));
  return text.append(",").append(std::to_string(position[2])).append(")");
}

std::string lane_list(uint32_t lanes) {
  std::string text;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    uint32_t last = lane;
    while (last < 31 && (lanes >> (last + 1) & 1) != 0) ++last;
    text.append(text.empty() ? "" : ",").append(std::to_string(lane));
    if (last > lane) text.append("-").append(std::to_string(last));
    lane = last;
  }
  return text;
}

std::string hexadecimal(uint64_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

std::string place_of(const Warp& warp, const DecodedFunction& function, const Inst& inst,
                     uint32_t lanes) {
  const Block& block = warp.block();
  const auto at = static_cast<size_t>(&inst - function.body.data());
  std::string text =
      "\n  PTX line " + std::to_string(inst.location.line) + ": " + function.text[at];
  if (inst.location.source_line != 0) {
    const auto& files = block.grid().code.files;
    const uint32_t file = inst.location.source_file;
    text += "\n  source: " + (file < files.size() ? files[file] : "?") + ":" +
            std::to_string(inst.location.source_line);
  }
  text += "\n  kernel: " + block.grid().kernel.name;
  if (&function != &block.grid().kernel) text += ", in " + function.name;
  const auto lane = static_cast<uint32_t>(std::countr_zero(lanes));
  text += "\n  block " + to_text(block.index()) + ", warp " + std::to_string(warp.index()) +
          ", thread " + to_text(block.thread_index(warp.index() * kWarpSize + lane));
  const int others = std::popcount(lanes) - 1;
  if (others > 0) {
    text += " and " + std::to_string(others) + " more of its warp (lanes " + lane_list(lanes) + ")";
  }
  return text;
}

void Warp::fault(Fault::Kind kind, const std::string& what, uint32_t lanes) const {
  throw FaultError{{kind, what + place_of(*this, *frame().function, current(), lanes)}};
}

}  // namespace nibble::emulator
