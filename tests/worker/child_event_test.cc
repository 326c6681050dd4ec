#include "worker/runtime/child_event.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch_folder.h"
#include "worker/runtime/stage_log.h"

namespace bitsweep {
namespace {

using ::testing::HasSubstr;

TEST(ChildEventTest, EveryEventOfTheContractIsUnderstood) {
  const auto hello = ParseChildEvent(
      R"({"event":"hello","protocol":1,"tool":"t","version":"v","build":"b","semantics":{}})");
  ASSERT_TRUE(hello.ok()) << hello.status();
  EXPECT_EQ(std::get<HelloEvent>(*hello).build, "b");
  const auto progress =
      ParseChildEvent(R"({"event":"progress","phase":"p","done":1,"total":3,"unit":"blocks"})");
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(std::get<ProgressEvent>(*progress).total, 3);
  const auto metric = ParseChildEvent(R"({"event":"metric","name":"x","value":1.5,"unit":"s"})");
  ASSERT_TRUE(metric.ok());
  EXPECT_EQ(std::get<LogEvent>(*metric).message, "x = 1.5 s");
  EXPECT_TRUE(ParseChildEvent(R"({"event":"log","level":"info","message":"m"})").ok());
  EXPECT_TRUE(ParseChildEvent(R"({"event":"checkpoint","file":"a/b.safetensors"})").ok());
  const auto done = ParseChildEvent(R"({"event":"done","summary":{"tokens":3}})");
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(std::get<DoneEvent>(*done).summary, R"({"tokens":3})");
  const auto failed = ParseChildEvent(R"({"event":"failed","class":"oom_gpu","message":"m"})");
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ(std::get<FailedEvent>(*failed).failure, FailureClass::kOomGpu);
  const auto unknown = ParseChildEvent(R"({"event":"of a newer tool"})");
  ASSERT_TRUE(unknown.ok());
  EXPECT_TRUE(std::holds_alternative<UnknownEvent>(*unknown));
}

TEST(ChildEventTest, WhatIsNoEventIsRefusedAndQuoted) {
  for (const char* line : {"Segmentation fault",
                           "",
                           "[]",
                           "{}",
                           R"({"event":1})",
                           R"({"event":"done"})",
                           R"({"event":"done","summary":3})",
                           R"({"event":"progress","phase":"p"})",
                           R"({"event":"progress","phase":"p","done":-1,"total":3,"unit":"u"})",
                           R"({"event":"failed","class":"bad luck","message":"m"})",
                           R"({"event":"hello","protocol":2,"tool":"t","version":"v","build":"b"})",
                           R"({"event":"checkpoint","file":"../../etc/passwd"})",
                           R"({"event":"checkpoint","file":"/etc/passwd"})"}) {
    const auto event = ParseChildEvent(line);
    ASSERT_FALSE(event.ok()) << line;
    EXPECT_THAT(std::string(event.status().message()), HasSubstr(line));
  }
}

TEST(LineCutterTest, LinesComeOutWholeHoweverTheBytesCome) {
  LineCutter cutter(10);
  ASSERT_TRUE(cutter.Push("ab"));
  EXPECT_EQ(cutter.Next(), std::nullopt);
  ASSERT_TRUE(cutter.Push("c\n\nde\nf"));
  EXPECT_EQ(cutter.Next(), "abc");
  EXPECT_EQ(cutter.Next(), "");
  EXPECT_EQ(cutter.Next(), "de");
  EXPECT_EQ(cutter.Next(), std::nullopt);
  EXPECT_EQ(cutter.rest(), "f");
}

TEST(LineCutterTest, ALineAtTheLimitIsFineAndOnePastItIsNot) {
  LineCutter fits(4);
  ASSERT_TRUE(fits.Push("abcd\n"));
  EXPECT_EQ(fits.Next(), "abcd");
  LineCutter broken(4);
  EXPECT_FALSE(broken.Push("abcde"));
  EXPECT_FALSE(broken.Push("\nx\n"));
  EXPECT_EQ(broken.Next(), std::nullopt);
}

TEST(StageLogTest, TheFileIsBoundedAndEndsWithTheTail) {
  const ScratchFolder scratch;
  std::string tail;
  {
    StageLog log(scratch / "log", /*file_bytes_max=*/100, /*tail_bytes_max=*/50);
    for (int i = 0; i < 1000; ++i) {
      log.Line("line " + std::to_string(i));
    }
    tail = log.Tail();
  }
  EXPECT_LE(tail.size(), 50U);
  EXPECT_TRUE(tail.starts_with("line ")) << tail;
  EXPECT_TRUE(tail.ends_with("line 999\n")) << tail;
  const std::string text = ScratchFolder::Read(scratch / "log");
  EXPECT_LT(text.size(), 250U);
  EXPECT_TRUE(text.starts_with("line 0\n"));
  EXPECT_TRUE(text.ends_with(tail));
  EXPECT_THAT(text, HasSubstr("bytes are left out"));
}

TEST(StageLogTest, AShortLogIsKeptWhole) {
  const ScratchFolder scratch;
  {
    StageLog log(scratch / "log", 100, 50);
    log.Append("a\nb");
    EXPECT_EQ(log.Tail(), "a\nb");
  }
  EXPECT_EQ(ScratchFolder::Read(scratch / "log"), "a\nb");
}

}  // namespace
}  // namespace bitsweep
