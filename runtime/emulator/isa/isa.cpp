// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/isa/isa.h"

#include <cctype>

namespace nibble::emulator {

Target parse_target(std::string_view text) {
  if (!text.starts_with("sm_")) return {};
  Target target;
  size_t at = 3;
  for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at) {
    target.number = target.number * 10 + static_cast<uint32_t>(text[at] - '0');
  }
  if (at < text.size()) target.suffix = text[at++];
  const bool known_suffix = target.suffix == 0 || target.suffix == 'a' || target.suffix == 'f';
  return at == text.size() && known_suffix ? target : Target{};
}

bool runs_on(const Target& target, const Target& device) {
  if (target.number == 0) return false;
  if (target.suffix == 'a') return target.number == device.number && device.suffix == 'a';
  if (target.suffix == 'f' && target.number / 10 != device.number / 10) return false;
  return target.number <= device.number;
}

bool has_form(const Target& target, const Requires& form) {
  if (form.specific.empty()) return target.number >= form.number;
  for (std::string_view rest = form.specific; !rest.empty();) {
    const size_t end = rest.find(' ');
    const Target entry = parse_target("sm_" + std::string(rest.substr(0, end)));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (entry.suffix == 'f') {
      if (target.suffix != 0 && target.number / 10 == entry.number / 10 &&
          target.number >= entry.number) {
        return true;
      }
    } else if (target.number == entry.number && target.suffix == entry.suffix) {
      return true;
    }
  }
  return false;
}

const Rows& all_rows() {
  static const Rows kRows = [] {
    Rows rows;
    append_integer_rows(rows);
    append_logic_rows(rows);
    append_float_rows(rows);
    append_half_rows(rows);
    append_compare_rows(rows);
    append_convert_rows(rows);
    append_move_rows(rows);
    append_memory_rows(rows);
    append_atomic_rows(rows);
    append_control_rows(rows);
    append_barrier_rows(rows);
    append_warp_rows(rows);
    append_mbarrier_rows(rows);
    append_cluster_launch_rows(rows);
    append_bulk_copy_rows(rows);
    append_tensor_copy_rows(rows);
    append_matrix_rows(rows);
    append_mma_rows(rows);
    append_wgmma_rows(rows);
    append_tcgen05_rows(rows);
    return rows;
  }();
  return kRows;
}

}  // namespace nibble::emulator
