// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/kernel_table.h"

namespace nibble {

KernelTable::KernelTable() {
  tables_.push_back(std::make_unique<Slots>(64));
  current_.store(tables_.back().get(), std::memory_order_release);
}

const Kernel* KernelTable::find(const KernelSpec& spec) const noexcept {
  const Slots& slots = *current_.load(std::memory_order_acquire);
  const size_t mask = slots.slot.size() - 1;
  for (size_t at = spec.hash() & mask;; at = (at + 1) & mask) {
    const Kernel* kernel = slots.slot[at].load(std::memory_order_acquire);
    if (kernel == nullptr || kernel->spec == spec) return kernel;
  }
}

void KernelTable::place(Slots& slots, const Kernel* kernel) {
  const size_t mask = slots.slot.size() - 1;
  size_t at = kernel->spec.hash() & mask;
  while (slots.slot[at].load(std::memory_order_relaxed) != nullptr) at = (at + 1) & mask;
  slots.slot[at].store(kernel, std::memory_order_release);
}

const Kernel* KernelTable::insert(std::unique_ptr<Kernel> kernel) {
  if (const Kernel* earlier = find(kernel->spec)) return earlier;
  kernels_.push_back(std::move(kernel));
  if (kernels_.size() * 2 > tables_.back()->slot.size()) {
    auto larger = std::make_unique<Slots>(tables_.back()->slot.size() * 2);
    for (const auto& known : kernels_) place(*larger, known.get());
    current_.store(larger.get(), std::memory_order_release);
    tables_.push_back(std::move(larger));
  } else {
    place(*tables_.back(), kernels_.back().get());
  }
  return kernels_.back().get();
}

}  // namespace nibble
