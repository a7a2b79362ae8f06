// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The handles that a program holds: values that are never used again, so that a stale or made-up
// one is found and not followed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

namespace nibble::emulator::driver {

// Looks like a pointer; above the values 1 and 2 that name the default streams.
inline uint64_t next_handle_value() {
  static std::atomic<uint64_t> next{0x1000};
  return next.fetch_add(16);
}

template <class Handle>
Handle new_handle() {
  return reinterpret_cast<Handle>(next_handle_value());
}

// Live objects by handle. Thread-safe; an object found stays alive while it is held.
template <class Handle, class Object>
class Handles {
 public:
  void add(Handle handle, std::shared_ptr<Object> object) {
    const std::unique_lock lock(mutex_);
    objects_.emplace(handle, std::move(object));
  }
  // Null for a handle of no live object.
  std::shared_ptr<Object> find(Handle handle) const {
    const std::shared_lock lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }
  std::shared_ptr<Object> remove(Handle handle) {
    const std::unique_lock lock(mutex_);
    auto node = objects_.extract(handle);
    return node.empty() ? nullptr : std::move(node.mapped());
  }
  // Removes all that `condition` holds for.
  template <class Condition>
  void remove_if(Condition condition) {
    std::vector<std::shared_ptr<Object>> removed;  // declared first: destroyed without the lock
    const std::unique_lock lock(mutex_);
    for (auto it = objects_.begin(); it != objects_.end();) {
      if (condition(*it->second)) {
        removed.push_back(std::move(it->second));
        it = objects_.erase(it);
      } else {
        ++it;
      }
    }
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<Handle, std::shared_ptr<Object>> objects_;
};

}  // namespace nibble::emulator::driver
