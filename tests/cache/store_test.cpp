// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A store within one process: what it returns, what it counts, how it heals, what tools see of it.
#include "cache/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <future>
#include <thread>

#include "cache/digest.h"
#include "tests/cache/scratch.h"

namespace nibble::cache {
namespace {

using testing::options_for;
using testing::overwrite_bytes;
using testing::read_bytes;
using testing::ScratchDirectory;
using Payload = std::optional<std::string>;

void set_age(const std::string& path, std::chrono::seconds age) {
  timespec times[2]{};
  ::clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= age.count();
  times[1] = times[0];
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(Store, ReturnsWhatWasPut) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  EXPECT_EQ(store.get("key"), std::nullopt);
  const std::string payload("a\0b\xff", 4);
  EXPECT_TRUE(store.put("key", payload));
  EXPECT_EQ(store.get("key"), payload);
  EXPECT_EQ(store.get("key "), std::nullopt);
  EXPECT_TRUE(store.put("key", "newer"));
  EXPECT_EQ(store.get("key"), "newer");
  EXPECT_TRUE(store.put("", ""));
  EXPECT_EQ(store.get(""), "");
  EXPECT_EQ(Store(options_for(scratch / "cache")).get("key"), "newer");
  const CounterSnapshot counted = store.counters().snapshot();
  EXPECT_EQ(counted.hits, 3U);
  EXPECT_EQ(counted.misses, 2U);
  EXPECT_EQ(counted.puts, 3U);
  EXPECT_EQ(counted.corrupt + counted.collisions + counted.read_errors + counted.put_failures, 0U);
  EXPECT_EQ(testing::files_in(scratch / "cache/v1/.tmp"), 0U);
}

TEST(Store, KeepsOneFilePerEntryUnderTheDigestOfItsKey) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("nibble", "payload"));
  const std::string name = hex(digest("nibble"));
  const std::string path = scratch / ("cache/v1/" + name.substr(0, 2) + "/" + name);
  EXPECT_EQ(store.entry_path("nibble"), path);
  const std::string bytes = read_bytes(path);
  EXPECT_EQ(bytes.size(), 24 + 6 + 7 + 16U);
  EXPECT_EQ(bytes.substr(24, 13), "nibblepayload");
}

TEST(Store, CreatesOnceThenReadsTheDisk) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  Origin origin{};
  EXPECT_EQ(store.get_or_create(
                "key", [] { return Payload("made"); }, &origin),
            "made");
  EXPECT_EQ(origin, Origin::kCreated);
  const auto never = []() -> Payload {
    ADD_FAILURE() << "created again";
    return {};
  };
  EXPECT_EQ(store.get_or_create("key", never, &origin), "made");
  EXPECT_EQ(origin, Origin::kDisk);
  const CounterSnapshot counted = store.counters().snapshot();
  EXPECT_EQ(counted.creates, 1U);
  EXPECT_EQ(counted.hits, 1U);
  EXPECT_EQ(counted.misses, 1U);
}

TEST(Store, NeverStoresAFailure) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  EXPECT_EQ(store.get_or_create("key", [] { return Payload(); }), std::nullopt);
  EXPECT_THROW(store.get_or_create("key", []() -> Payload { throw std::string("no"); }),
               std::string);
  EXPECT_EQ(store.stat().entries, 0U);
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("made"); }), "made");
  EXPECT_EQ(store.counters().snapshot().creates, 3U);
  EXPECT_EQ(store.counters().snapshot().create_failures, 2U);
}

// One leads and fails; each of the others, having waited, sees its own failure or success.
TEST(Store, WaitersOfAFailedCreateRunTheirOwn) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  std::promise<void> release;
  std::thread leader([&] {
    EXPECT_EQ(store.get_or_create("key",
                                  [&]() -> Payload {
                                    release.get_future().wait();
                                    return {};
                                  }),
              std::nullopt);
  });
  while (store.counters().snapshot().creates == 0) std::this_thread::yield();
  std::thread waiter([&] {
    Origin origin{};
    EXPECT_EQ(store.get_or_create(
                  "key", [] { return Payload("own"); }, &origin),
              "own");
    EXPECT_EQ(origin, Origin::kCreated);
  });
  while (store.counters().snapshot().flight_waits == 0) std::this_thread::yield();
  release.set_value();
  leader.join();
  waiter.join();
  EXPECT_EQ(store.get("key"), "own");
}

TEST(Store, ThreadsShareOneCreate) {
  const ScratchDirectory scratch;
  for (const Mode mode : {Mode::kReadWrite, Mode::kOff}) {
    StoreOptions options = options_for(scratch / "cache");
    options.mode = mode;
    Store store(options);
    std::array<Origin, 8> origins{};
    std::vector<std::thread> threads;
    threads.reserve(origins.size());
    for (Origin& origin : origins) {
      threads.emplace_back([&store, &origin] {
        const auto slow = [&store] {
          while (store.counters().snapshot().flight_waits < 7) std::this_thread::yield();
          return Payload(std::string(100'000, 'x'));
        };
        EXPECT_EQ(store.get_or_create("key", slow, &origin), std::string(100'000, 'x'));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(store.counters().snapshot().creates, 1U);
    EXPECT_EQ(std::count(origins.begin(), origins.end(), Origin::kCreated), 1);
    EXPECT_EQ(std::count(origins.begin(), origins.end(), Origin::kWaited), 7);
  }
}

TEST(Store, NoWaitIsWithoutABound) {
  const ScratchDirectory scratch;
  StoreOptions options = options_for(scratch / "cache");
  options.lock_timeout = std::chrono::milliseconds(50);
  Store store(options);
  Store other(options);  // its own flights and descriptors: like another process
  std::promise<void> release;
  std::thread holder([&] {
    const auto stuck = [&] {
      release.get_future().wait();
      return Payload("late");
    };
    EXPECT_EQ(store.get_or_create("key", stuck), "late");
  });
  while (store.counters().snapshot().creates == 0) std::this_thread::yield();
  EXPECT_EQ(other.get_or_create("key", [] { return Payload("own"); }), "own");
  EXPECT_EQ(other.counters().snapshot().lock_waits, 1U);
  EXPECT_EQ(other.counters().snapshot().lock_timeouts, 1U);
  std::filesystem::remove(store.entry_path("key"));
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("own"); }), "own");
  EXPECT_EQ(store.counters().snapshot().flight_timeouts, 1U);
  release.set_value();
  holder.join();
}

TEST(Store, ACreateMayUseTheStore) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  const auto outer = [&]() -> Payload {
    const auto inner = [&] { return store.get_or_create("key", [] { return Payload("same"); }); };
    return *store.get_or_create("other", [] { return Payload("part of "); }) + *inner();
  };
  EXPECT_EQ(store.get_or_create("key", outer), "part of same");
  EXPECT_EQ(store.get("other"), "part of ");
  EXPECT_EQ(store.counters().snapshot().lock_waits, 0U);
}

// Every byte in turn gets another value, and every length is tried: on disk, through the store.
TEST(Store, AnyDamageIsAMissThatHeals) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("a key", "the payload"));
  const std::string path = store.entry_path("a key");
  const std::string good = read_bytes(path);
  std::vector<std::string> damages;
  for (std::size_t at = 0; at < good.size(); ++at) {
    damages.push_back(good);
    damages.back()[at] = static_cast<char>(damages.back()[at] ^ (1 << (at % 8)));
    damages.push_back(good.substr(0, at));
  }
  damages.push_back(good + '\0');
  for (const std::string& damage : damages) {
    overwrite_bytes(path, damage);
    const CounterSnapshot before = store.counters().snapshot();
    ASSERT_EQ(store.get("a key"), std::nullopt);
    ASSERT_EQ(read_bytes(path), damage) << "a reader changed the file";
    ASSERT_EQ(store.get_or_create("a key", [] { return Payload("the payload"); }), "the payload");
    ASSERT_EQ(read_bytes(path), good);
    const CounterSnapshot after = store.counters().snapshot();
    ASSERT_EQ(after.corrupt - before.corrupt, 2U);
    ASSERT_EQ(after.misses - before.misses, 2U);
    ASSERT_EQ(after.creates - before.creates, 1U);
  }
  EXPECT_EQ(damages.size(), 2 * good.size() + 1);
  EXPECT_EQ(store.get("a key"), "the payload");
}

TEST(Store, ANameTakenByAnotherKeyIsAMiss) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("mine", "my payload"));
  ASSERT_TRUE(store.put("yours", "your payload"));
  std::filesystem::copy_file(store.entry_path("yours"), store.entry_path("mine"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(store.get("mine"), std::nullopt);
  EXPECT_EQ(store.counters().snapshot().collisions, 1U);
  EXPECT_EQ(store.counters().snapshot().corrupt, 0U);
  EXPECT_EQ(store.verify().damaged.size(), 1U);
  EXPECT_EQ(store.get_or_create("mine", [] { return Payload("my payload"); }), "my payload");
  EXPECT_EQ(store.get("mine"), "my payload");
  EXPECT_EQ(store.get("yours"), "your payload");
}

TEST(Store, ToolsSeeListVerifyAndClear) {
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("one", "1"));
  ASSERT_TRUE(store.put("two", "22"));
  ASSERT_TRUE(store.put("three", "333"));
  overwrite_bytes(scratch / "cache/v1/.tmp/left-over", "x");
  EXPECT_EQ(store.stat().entries, 3U);
  EXPECT_EQ(store.stat().bytes, 3 * 40 + 3 + 1 + 3 + 2 + 5 + 3U);
  EXPECT_TRUE(store.verify().damaged.empty());
  overwrite_bytes(store.entry_path("two"), "junk");

  const VerifyReport report = store.verify();
  EXPECT_EQ(report.entries, 3U);
  ASSERT_EQ(report.damaged.size(), 1U);
  EXPECT_EQ(report.damaged[0].path, store.entry_path("two"));
  EXPECT_EQ(report.damaged[0].reason, "shorter than the smallest entry");

  const std::vector<EntryInfo> entries = store.list();
  ASSERT_EQ(entries.size(), 2U);
  for (const EntryInfo& entry : entries) {
    EXPECT_EQ(entry.name, hex(digest(entry.key_text)));
    EXPECT_EQ(entry.payload_bytes, entry.key_text == "one" ? 1U : 3U);
    EXPECT_EQ(entry.file_bytes, std::filesystem::file_size(store.entry_path(entry.key_text)));
    EXPECT_LT(std::chrono::system_clock::now() - entry.last_used, std::chrono::minutes(1));
  }
  const ClearReport cleared = store.clear();
  EXPECT_EQ(cleared.removed, 3U);
  EXPECT_EQ(cleared.failed, 0U);
  EXPECT_EQ(store.stat().entries, 0U);
  EXPECT_EQ(testing::files_in(scratch / "cache/v1/.tmp"), 0U);
  EXPECT_TRUE(store.put("one", "1"));
}

TEST(Store, EvictsTheLeastRecentlyUsed) {
  const ScratchDirectory scratch;
  StoreOptions options = options_for(scratch / "cache");
  options.size_limit = 100'000;
  Store store(options);
  const std::string payload(8'000, 'p');
  const auto key = [](int i) { return "key " + std::to_string(i); };
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(store.put(key(i), payload));
    set_age(store.entry_path(key(i)), std::chrono::hours(48 - i));
  }
  ASSERT_EQ(store.counters().snapshot().evictions, 0U);
  EXPECT_EQ(store.get(key(0)), payload);  // marks it as just used
  for (int i = 12; i < 16; ++i) ASSERT_TRUE(store.put(key(i), payload));
  EXPECT_GT(store.counters().snapshot().evictions, 0U);
  EXPECT_LE(store.stat().bytes, options.size_limit * 9 / 8 + payload.size());
  EXPECT_EQ(store.get(key(0)), payload);
  EXPECT_EQ(store.get(key(1)), std::nullopt);
  for (int i = 12; i < 16; ++i) EXPECT_EQ(store.get(key(i)), payload) << "fresh entries stay";
}

TEST(Store, SweepsTemporaryFilesOfTheDeadAfterADay) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(Store(options_for(scratch / "cache")).put("key", "payload"));
  const std::string old_file = scratch / "cache/v1/.tmp/old";
  const std::string new_file = scratch / "cache/v1/.tmp/new";
  overwrite_bytes(old_file, "x");
  overwrite_bytes(new_file, "x");
  set_age(old_file, std::chrono::hours(25));
  set_age(new_file, std::chrono::hours(23));
  set_age(scratch / "cache/v1/.locks/sweep", std::chrono::hours(2));
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("key", "payload"));
  EXPECT_FALSE(std::filesystem::exists(old_file));
  EXPECT_TRUE(std::filesystem::exists(new_file));
  EXPECT_EQ(store.counters().snapshot().temporaries_swept, 1U);
}

TEST(Store, ReadOnlyNeverWrites) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(Store(options_for(scratch / "cache")).put("key", "payload"));
  StoreOptions options = options_for(scratch / "cache");
  options.mode = Mode::kReadOnly;
  Store store(options);
  set_age(store.entry_path("key"), std::chrono::hours(5));
  const auto old_time = std::filesystem::last_write_time(store.entry_path("key"));
  const auto count = [&] {
    const std::filesystem::recursive_directory_iterator all(scratch.path());
    return std::distance(begin(all), end(all));
  };
  const auto files = count();
  EXPECT_EQ(store.get("key"), "payload");
  EXPECT_FALSE(store.put("new", "payload"));
  EXPECT_EQ(store.get_or_create("new", [] { return Payload("made"); }), "made");
  EXPECT_EQ(store.clear().removed, 0U);
  EXPECT_EQ(count(), files);
  EXPECT_EQ(std::filesystem::last_write_time(store.entry_path("key")), old_time);
  EXPECT_EQ(store.counters().snapshot().put_failures, 0U);
  EXPECT_EQ(store.stat().entries, 1U);
}

TEST(Store, OffLeavesTheDiskAlone) {
  const ScratchDirectory scratch;
  std::string warnings;
  StoreOptions options = options_for(scratch / "cache", &warnings);
  options.mode = Mode::kOff;
  Store store(options);
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("made"); }), "made");
  EXPECT_EQ(store.get("key"), std::nullopt);
  EXPECT_FALSE(store.has_disk());
  EXPECT_FALSE(std::filesystem::exists(scratch / "cache"));
  EXPECT_EQ(warnings, "");
}

TEST(Store, SurvivesTheRemovalOfItsDirectory) {
  const ScratchDirectory scratch;
  std::string warnings;
  Store store(options_for(scratch / "cache", &warnings));
  ASSERT_TRUE(store.put("key", "payload"));
  std::filesystem::remove_all(scratch / "cache");
  EXPECT_EQ(store.get("key"), std::nullopt);
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("payload"); }), "payload");
  EXPECT_EQ(Store(options_for(scratch / "cache")).get("key"), "payload");
  EXPECT_EQ(store.get("key"), "payload");
  EXPECT_EQ(warnings, "");
}

}  // namespace
}  // namespace nibble::cache
