#include "proto/base/names.h"

#include <string>

#include <gtest/gtest.h>

namespace bitsweep {
namespace {

TEST(NamesTest, DigestsAreSixtyFourLowerCaseHexadecimalDigits) {
  EXPECT_TRUE(IsHexDigest(std::string(64, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(63, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(65, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(64, 'A')));
  EXPECT_FALSE(IsHexDigest(std::string(64, 'g')));
}

TEST(NamesTest, PathsThatLeaveTheirFolderAreRefused) {
  EXPECT_TRUE(CheckRelativePath("model.safetensors").ok());
  EXPECT_TRUE(CheckRelativePath("a/b..c/.hidden").ok());
  for (const char* path : {"", "/etc/passwd", "..", "a/../b", "a/..", "./a", "a//b", "a/"}) {
    EXPECT_EQ(CheckRelativePath(path).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  EXPECT_FALSE(CheckRelativePath(std::string_view("a\0b", 3)).ok());
}

TEST(NamesTest, BytesOutsideUtf8AreReplacedAndTheRestIsKept) {
  EXPECT_EQ(ToUtf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(ToUtf8("a\xFF"
                   "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(ToUtf8("\xC3"), "\xEF\xBF\xBD");                  // cut off
  EXPECT_EQ(ToUtf8("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  EXPECT_EQ(ToUtf8("\xED\xA0\x80").size(), 9U);               // surrogate
  EXPECT_EQ(ToUtf8("\xF4\x90\x80\x80").size(), 12U);          // above U+10FFFF
}

}  // namespace
}  // namespace bitsweep
