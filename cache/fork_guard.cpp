// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One mutex and one set for the process, never destroyed: a fork may come during exit.
#include "cache/fork_guard.h"

#include <pthread.h>

#include <unordered_set>

namespace nibble::cache {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_set<ForkSensitive*> objects;  // guarded by mutex
};

Registry& registry() {
  static Registry& instance = *[] {
    auto* created = new Registry;
    // Fails only for want of memory; then a forked child has to wait for its deadlines.
    static_cast<void>(pthread_atfork(
        [] {
          registry().mutex.lock();
          for (ForkSensitive* object : registry().objects) object->before_fork();
        },
        [] {
          for (ForkSensitive* object : registry().objects) object->after_fork_in_parent();
          registry().mutex.unlock();
        },
        [] {
          for (ForkSensitive* object : registry().objects) object->after_fork_in_child();
          registry().mutex.unlock();
        }));
    return created;
  }();
  return instance;
}

}  // namespace

ForkRegistration::ForkRegistration(ForkSensitive* object) : object_(object) {
  const auto guard = delay_forks();
  registry().objects.insert(object_);
}

ForkRegistration::~ForkRegistration() {
  const auto guard = delay_forks();
  registry().objects.erase(object_);
}

std::unique_lock<std::mutex> delay_forks() { return std::unique_lock(registry().mutex); }

}  // namespace nibble::cache
