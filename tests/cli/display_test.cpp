// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The table and the progress line.
#include <gtest/gtest.h>

#include <sstream>

#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"

namespace nibble::cli {
namespace {

TEST(Table, AlignsColumns) {
  Table table({{"name"}, {"bytes", true}});
  EXPECT_TRUE(table.empty());
  table.add({"a", "7"});
  table.add({"l\xc3\xa4nger", "123456"});
  table.add({"", ""});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(),
            "name     bytes\n"
            "------  ------\n"
            "a            7\n"
            "l\xc3\xa4nger  123456\n"
            "\n");
}

TEST(Progress, Texts) {
  EXPECT_EQ(bytes_text(0), "0 bytes");
  EXPECT_EQ(bytes_text(999), "999 bytes");
  EXPECT_EQ(bytes_text(1000), "1.00 kB");
  EXPECT_EQ(bytes_text(12345678), "12.3 MB");
  EXPECT_EQ(bytes_text(999600), "1.00 MB");
  EXPECT_EQ(bytes_text(140e9), "140 GB");
  EXPECT_EQ(seconds_text(0.5), "0.50 s");
  EXPECT_EQ(seconds_text(185), "3:05");
  EXPECT_EQ(seconds_text(3723), "1:02:03");
}

TEST(Progress, LineSaysHowFar) {
  std::ostringstream out;
  Progress progress(out, false, 4, 1000000);
  progress.start_item("model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(progress.line(1).substr(0, 36), "  0% [------------------------] 1/4 ");
  progress.advance(500000);
  const std::string line = progress.line(2);
  EXPECT_EQ(line.substr(0, 31), " 50% [############------------]");
  EXPECT_NE(line.find("250 kB/s  2.00 s left"), std::string::npos) << line;
  EXPECT_NE(line.find("...ers.0.self_attn.q_proj.weight"), std::string::npos) << line;
  progress.advance(500000);
  EXPECT_EQ(progress.line(4).substr(0, 31), "100% [########################]");
  EXPECT_EQ(out.str(), "");  // not shown: nothing is drawn
}

TEST(Progress, WipesItsLine) {
  std::ostringstream out;
  {
    Progress progress(out, true, 1, 10);
    progress.start_item("a");
  }
  EXPECT_EQ(out.str().front(), '\r');
  EXPECT_EQ(out.str().substr(out.str().size() - 4), "\r\x1b[K");
  EXPECT_EQ(out.str().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace nibble::cli
