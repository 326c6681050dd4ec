#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
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

TEST_F(CalibrationTest, OnlyDocumentsLongerThanTheWindowCount) {
  // With their beginning mark: 10, 11 and 12 tokens.
  const std::string file = Documents("d", {9, 10, 11});
  for (const WindowPolicy window : {WindowPolicy::kFirst, WindowPolicy::kRandom}) {
    const CalibrationSet set = Sample({{{file, 2, window, 0}}, 0, 10});
    std::set<std::int64_t> letters;
    for (const auto& sequence : set.train) {
      letters.insert(sequence.back());
    }
    EXPECT_EQ(letters, (std::set<std::int64_t>{'b', 'c'})) << WindowPolicyName(window);
  }
}

TEST_F(CalibrationTest, RandomReachesEveryPlaceOfADocument) {
  std::string text;
  for (char c = 'a'; c <= 'h'; ++c) {
    text += c;
  }
  const std::string file = Write("d", "{\"text\": \"" + text + "\"}\n");
  std::set<std::int64_t> firsts;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    firsts.insert(Sample({{{file, 1, WindowPolicy::kRandom, 0}}, 0, 5}, seed).train[0][0]);
  }
  // 9 tokens with the beginning mark: the window of 5 begins at one of 5 places.
  EXPECT_EQ(firsts, (std::set<std::int64_t>{1, 'a', 'b', 'c', 'd'}));
}

TEST_F(CalibrationTest, PackUsesEachDocumentOnceInASeededOrder) {
  std::string lines;
  for (char c = 'a'; c <= 'j'; ++c) {
    lines += "{\"text\": \"" + std::string(3, c) + "\"}\n";
  }
  const std::string file = Write("d", lines);
  // Ten documents of 5 tokens with their marks are exactly ten windows of 5.
  const CalibrationSpec spec{{{file, 10, WindowPolicy::kPack, 0}}, 0, 5};
  const auto order = [&](std::uint64_t seed) {
    std::string letters;
    for (const auto& sequence : Sample(spec, seed).train) {
      EXPECT_EQ(sequence[0], 1);
      EXPECT_EQ(sequence[4], 2);
      letters += static_cast<char>(sequence[1]);
    }
    return letters;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
  std::string sorted = order(3);
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, "abcdefghij");
  EXPECT_THAT(Refusal({{{file, 11, WindowPolicy::kPack, 0}}, 0, 5}),
              HasSubstr("found 50 tokens in 10 documents, need 55 (11 sequences x 5 tokens)"));
}

// The study's mixture, a 128th of its size: questions and answers, Java, Python; an eighth held
// out.
TEST_F(CalibrationTest, TheStudysMixtureHasItsShares) {
  const std::string questions = Documents("qa", {40, 40, 40, 40, 9});
  const std::string java = Write("java",
                                 "{\"text\": \"" + std::string(50, 'J') + "\"}\n{\"text\": \"" +
                                     std::string(50, 'J') + "\"}\n");
  const std::string python = Write("py", "{\"text\": \"" + std::string(200, 'P') + "\"}\n");
  const CalibrationSpec spec{{{questions, 4, WindowPolicy::kFirst, 0},
                              {java, 2, WindowPolicy::kFirst, 0},
                              {python, 2, WindowPolicy::kRandom, 0}},
                             1,
                             32};
  const CalibrationSet set = Sample(spec);
  ASSERT_EQ(set.train.size(), 7U);
  ASSERT_EQ(set.validation.size(), 1U);
  std::map<char, int> shares;
  for (const auto* side : {&set.train, &set.validation}) {
    for (const auto& sequence : *side) {
      ++shares[static_cast<char>(sequence.back())];
    }
  }
  EXPECT_EQ(shares,
            (std::map<char, int>{{'a', 1}, {'b', 1}, {'c', 1}, {'d', 1}, {'J', 2}, {'P', 2}}));
}

TEST_F(CalibrationTest, APartDoesNotDependOnTheOthersContent) {
  const std::string a = Documents("a", {30, 30, 30, 30, 30, 30});
  const std::string b = Documents("b", {64});
  const std::string c = Documents("c", {99, 99, 99});
  const auto of_a = [&](const std::string& other) {
    std::multiset<std::vector<std::int64_t>> windows;
    const CalibrationSet set =
        Sample({{{a, 3, WindowPolicy::kRandom, 0}, {other, 1, WindowPolicy::kPack, 0}}, 0, 20});
    windows.insert(set.train.begin(), set.train.end());
    return windows;
  };
  std::vector<std::vector<std::int64_t>> common;
  const auto with_b = of_a(b);
  const auto with_c = of_a(c);
  std::set_intersection(
      with_b.begin(), with_b.end(), with_c.begin(), with_c.end(), std::back_inserter(common));
  EXPECT_GE(common.size(), 3U);
}

TEST_F(CalibrationTest, ErrorsNameThePartThatIsTooShort) {
  const std::string good = Documents("good.jsonl", {50, 50});
  const std::string bad = Documents("bad.jsonl", {30, 5, 12});
  const std::string random =
      Refusal({{{good, 1, WindowPolicy::kFirst, 0}, {bad, 5, WindowPolicy::kRandom, 0}}, 0, 10});
  EXPECT_THAT(random,
              HasSubstr("bad.jsonl: too short: found 2 documents longer than 10 tokens, with 44 "
                        "tokens together (of 3 documents, 50 tokens, the longest has 31)"));
  EXPECT_THAT(Refusal({{{bad, 5, WindowPolicy::kRandom, 0}}, 0, 10}),
              HasSubstr("need 50 (5 sequences x 10 tokens) for window: random"));
  EXPECT_THAT(Refusal({{{bad, 3, WindowPolicy::kFirst, 0}}, 0, 10}),
              HasSubstr("found 2 documents longer than 10 tokens"));
  EXPECT_THAT(Refusal({{{bad, 3, WindowPolicy::kFirst, 0}}, 0, 10}),
              HasSubstr("need 3 documents for 30 (3 sequences x 10 tokens) for window: first"));
  EXPECT_THAT(Refusal({{{bad, 4, WindowPolicy::kPack, 10}}, 0, 20}),
              HasSubstr("in 2 documents (1 more are shorter than min_tokens 10), need 80"));
}

// What a seed draws is part of the semantics of `quantize`: a change here must raise its version.
TEST_F(CalibrationTest, ASeedsTokensStayTheSame) {
  const std::string file = Documents("d", {40, 50, 60, 70, 80});
  const auto digest = [&](WindowPolicy window) {
    return Sample({{{file, 4, window, 0}}, 1, 16}, 7).digest;
  };
  EXPECT_EQ(digest(WindowPolicy::kRandom),
            "faee4aea04f5d2ba61e8f5a5e318eb34e96189e8d7cda6c7013b46768af4d153");
  EXPECT_EQ(digest(WindowPolicy::kFirst),
            "59c6133d72cdcf23510901d28fc3f4eb2f8faaac817707b35760a82f20c0a67f");
  EXPECT_EQ(digest(WindowPolicy::kPack),
            "0988fe9c41a6aca34330991e0f232986fb4f94f781ff02b8a697bcb3ebe4ef85");
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
