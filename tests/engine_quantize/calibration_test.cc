#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/engine/calibration/documents.h"
#include "worker/engine/calibration/sampling.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

using testing::HasSubstr;

// One token a byte; 1 begins, 2 ends a document.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(std::int64_t bos = 1, std::int64_t eos = 2) : bos_(bos), eos_(eos) {}
  std::vector<std::int64_t> Encode(std::string_view text) const override {
    std::vector<std::int64_t> ids;
    for (const char c : text) {
      ids.push_back(static_cast<unsigned char>(c));
    }
    return ids;
  }
  std::string Decode(const std::vector<std::int64_t>&, bool) const override { return ""; }
  std::int64_t bos_id() const override { return bos_; }
  std::int64_t eos_id() const override { return eos_; }
  bool IsSpecial(std::int64_t id) const override { return id < 3; }
  std::int64_t vocab_size() const override { return 256; }

 private:
  std::int64_t bos_, eos_;
};

class CalibrationTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "calibration-" + std::to_string(getpid()) + "-" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name) << text;
    return dir_ + "/" + name;
  }
  // Documents "aaa...", "bbb...", of these lengths.
  std::string Documents(const std::string& name, const std::vector<int>& lengths) const {
    std::string lines;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      lines += "{\"text\": \"" +
               std::string(static_cast<std::size_t>(lengths[i]), static_cast<char>('a' + i)) +
               "\"}\n";
    }
    return Write(name, lines);
  }
  CalibrationSet Sample(const CalibrationSpec& spec, std::uint64_t seed = 1) const {
    return SampleCalibration(spec, tokenizer_, seed);
  }
  std::string Refusal(const CalibrationSpec& spec) const {
    try {
      Sample(spec);
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(), FailureClass::kBadInput);
      return error.what();
    }
    return "accepted";
  }

  std::string dir_;
  ByteTokenizer tokenizer_;
};

TEST_F(CalibrationTest, FirstTakesTheBeginningOfEachLongDocumentOnce) {
  const std::string file = Documents("d", {20, 4, 20, 9, 10});
  const CalibrationSet set = Sample({{{file, 3, WindowPolicy::kFirst, 0}}, 0, 10});
  ASSERT_EQ(set.train.size(), 3U);
  std::string letters;
  for (const auto& sequence : set.train) {
    ASSERT_EQ(sequence.size(), 10U);
    EXPECT_EQ(sequence[0], 1);
    letters += static_cast<char>(sequence[1]);
    EXPECT_EQ(std::count(sequence.begin(), sequence.end(), sequence[1]), 9);
  }
  std::sort(letters.begin(), letters.end());
  EXPECT_EQ(letters,
            "ace");  // "d" has exactly 10 tokens with its beginning: not longer than the window.
}

TEST_F(CalibrationTest, RandomCutsInsideLongDocumentsAtSeededPlaces) {
  std::string digits;
  for (int i = 0; i < 200; ++i) {
    digits += static_cast<char>('A' + i % 26);
  }
  const std::string file = Write("d", "{\"text\": \"" + digits + "\"}\n{\"text\": \"short\"}\n");
  const CalibrationSpec spec{{{file, 8, WindowPolicy::kRandom, 0}}, 0, 16};
  const CalibrationSet set = Sample(spec);
  std::set<std::vector<std::int64_t>> distinct(set.train.begin(), set.train.end());
  EXPECT_GT(distinct.size(), 4U);
  const std::string whole = "\1" + digits;
  for (const auto& sequence : set.train) {
    EXPECT_NE(whole.find(std::string(sequence.begin(), sequence.end())), std::string::npos);
  }
  EXPECT_EQ(Sample(spec).digest, set.digest);
  EXPECT_NE(Sample(spec, 2).digest, set.digest);
}

TEST_F(CalibrationTest, PackJoinsDocumentsWithTheirMarks) {
  const std::string file = Documents("d", {5, 3, 6, 2});
  const CalibrationSet set = Sample({{{file, 4, WindowPolicy::kPack, 0}}, 0, 6});
  ASSERT_EQ(set.train.size(), 4U);
  std::int64_t begins = 0;
  for (const auto& sequence : set.train) {
    ASSERT_EQ(sequence.size(), 6U);
    begins += std::count(sequence.begin(), sequence.end(), 1);
    for (std::size_t i = 1; i < sequence.size(); ++i) {
      EXPECT_EQ(sequence[i] == 1, sequence[i - 1] == 2);
    }
  }
  EXPECT_EQ(begins, 4);  // 24 tokens = four documents of 5+3+6+2 characters and two marks each.
}

TEST_F(CalibrationTest, PackWithoutMarksJoinsTextAlone) {
  const std::string file = Documents("d", {5, 3});
  const ByteTokenizer plain(-1, -1);
  const CalibrationSet set =
      SampleCalibration({{{file, 2, WindowPolicy::kPack, 0}}, 0, 4}, plain, 1);
  EXPECT_THAT(set.train, testing::Each(testing::Each(testing::Ge('a'))));
}

TEST_F(CalibrationTest, MinTokensLeavesShortDocumentsOut) {
  const std::string file = Documents("d", {5, 50, 5, 50});
  const CalibrationSet set = Sample({{{file, 2, WindowPolicy::kPack, 20}}, 0, 50});
  for (const auto& sequence : set.train) {
    EXPECT_EQ(std::count(sequence.begin(), sequence.end(), 'a'), 0);
  }
  EXPECT_THAT(Refusal({{{file, 1, WindowPolicy::kFirst, 60}}, 0, 10}), HasSubstr("longer than 59"));
}

TEST_F(CalibrationTest, MixturesTakeEachPartsShareAndHoldOutValidation) {
  const std::string a = Documents("a", {30, 30, 30, 30});
  const std::string b = Write("b", "{\"text\": \"" + std::string(100, 'z') + "\"}\n");
  const CalibrationSpec spec{
      {{a, 3, WindowPolicy::kFirst, 0}, {b, 5, WindowPolicy::kPack, 0}}, 2, 20};
  const CalibrationSet set = Sample(spec);
  EXPECT_EQ(set.train.size(), 6U);
  EXPECT_EQ(set.validation.size(), 2U);
  std::int64_t from_b = 0;
  for (const auto* side : {&set.train, &set.validation}) {
    for (const auto& sequence : *side) {
      from_b += sequence[5] == 'z' ? 1 : 0;
    }
  }
  EXPECT_EQ(from_b, 5);
  EXPECT_EQ(set.digest.size(), 64U);
  EXPECT_EQ(set.digest, CalibrationDigest(set));
}

TEST_F(CalibrationTest, TooShortNamesFileFoundNeededAndRemedy) {
  const std::string file = Documents("short.jsonl", {10, 10});
  const std::string pack = Refusal({{{file, 8, WindowPolicy::kPack, 0}}, 0, 16});
  EXPECT_THAT(pack, HasSubstr("short.jsonl: too short: found 24 tokens in 2 documents, need 128"));
  EXPECT_THAT(pack, HasSubstr("at most 1 sequences"));
  for (const WindowPolicy window : {WindowPolicy::kFirst, WindowPolicy::kRandom}) {
    const std::string message = Refusal({{{file, 8, window, 0}}, 0, 16});
    EXPECT_THAT(message, HasSubstr("short.jsonl: too short: found 0 documents longer than 16"));
    EXPECT_THAT(message, HasSubstr("the longest has 11"));
    EXPECT_THAT(message, HasSubstr("window: pack"));
  }
}

TEST_F(CalibrationTest, BadLinesAreNamedByFileAndLine) {
  const auto refusal = [&](const std::string& text) {
    return Refusal({{{Write("bad.jsonl", text), 1, WindowPolicy::kPack, 0}}, 0, 4});
  };
  EXPECT_THAT(refusal("{\"text\": \"good\"}\n\n{\"text\": \"cut"),
              HasSubstr("bad.jsonl:3: not JSON"));
  EXPECT_THAT(refusal("{\"text\": \"good\"}\n{\"body\": 1}\n"),
              HasSubstr("bad.jsonl:2: member \"text\" is absent"));
  EXPECT_THAT(refusal("{\"text\": 5}\n"), HasSubstr("bad.jsonl:1: member \"text\" is number"));
  EXPECT_THAT(refusal("[1]\n"), HasSubstr("bad.jsonl:1: found array"));
  EXPECT_THAT(refusal("\n \n"), HasSubstr("no documents"));
  EXPECT_THAT(Refusal({{{dir_ + "/absent", 1, WindowPolicy::kPack, 0}}, 0, 4}),
              HasSubstr("absent: cannot be opened"));
}

TEST_F(CalibrationTest, SizesThatMakeNoSenseAreRefused) {
  const std::string file = Documents("d", {50});
  EXPECT_THAT(Refusal({{}, 0, 4}), HasSubstr("parts"));
  EXPECT_THAT(Refusal({{{file, 2, WindowPolicy::kPack, 0}}, 2, 4}), HasSubstr("validation is 2"));
  EXPECT_THAT(Refusal({{{file, 0, WindowPolicy::kPack, 0}}, 0, 4}), HasSubstr("sequences is 0"));
  EXPECT_THAT(Refusal({{{file, 1, WindowPolicy::kPack, 0}}, 0, 0}),
              HasSubstr("sequence_length is 0"));
  EXPECT_THROW(ParseWindowPolicy("last"), EngineError);
}

}  // namespace
}  // namespace bitsweep::engine
