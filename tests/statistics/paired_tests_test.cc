// The tests on counts and numbers alone: against the study's own figures, hand-worked examples and
// plain enumeration.
#include "coordinator/study/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "coordinator/study/pass_at_k.h"
#include "coordinator/study/published.h"
#include "coordinator/study/random_stream.h"

namespace bitsweep {
namespace {

struct StudyFamily {
  const char* model;
  const char* language;
  std::int64_t b[4], c[4];  // 8-bit, 4-bit, 3-bit, 2-bit.
};

// Counted from the study's per-sample outcomes of RQ1 on MultiPL-E.
constexpr StudyFamily kStudyFamilies[] = {
    {"codellama-7b", "python", {131, 154, 274, 495}, {128, 132, 95, 63}},
    {"codellama-7b", "java", {182, 211, 300, 604}, {162, 163, 119, 29}},
    {"deepseekcoder-7b", "python", {176, 215, 321, 671}, {189, 196, 169, 85}},
    {"deepseekcoder-7b", "java", {183, 189, 290, 661}, {199, 187, 172, 85}},
};
constexpr const char* kPrecisions[] = {"8-bit", "4-bit", "3-bit", "2-bit"};

const PublishedTest& Published(const char* model, const char* language, const char* precision) {
  for (const PublishedTest& test : FindPublished("arxiv:2503.07103").value()->tests) {
    if (test.model == model && test.language == language && test.precision == precision) {
      return test;
    }
  }
  ADD_FAILURE() << "no published test of " << model << " " << language << " " << precision;
  static const PublishedTest kNothing;
  return kNothing;
}

TEST(McNemarTest, GivesTheStudysSixteenTestsFromTheirCounts) {
  for (const StudyFamily& family : kStudyFamilies) {
    std::vector<double> p;
    for (int i = 0; i < 4; ++i) {
      p.push_back(McNemarExactP(family.b[i], family.c[i]));
    }
    const std::vector<double> adjusted = BenjaminiHochberg(p);
    for (std::size_t i = 0; i < 4; ++i) {
      const PublishedTest& published = Published(family.model, family.language, kPrecisions[i]);
      EXPECT_NEAR(adjusted[i] / published.p_adjusted, 1, 1e-9) << family.model << kPrecisions[i];
      EXPECT_NEAR(*OddsRatio(family.b[i], family.c[i]) / published.odds_ratio, 1, 1e-9);
    }
  }
}

TEST(McNemarTest, HasTheEndsRight) {
  EXPECT_EQ(McNemarExactP(0, 0), 1);
  EXPECT_EQ(McNemarExactP(7, 7), 1);
  EXPECT_DOUBLE_EQ(McNemarExactP(0, 1), 1);  // 2 x 1/2.
  EXPECT_DOUBLE_EQ(McNemarExactP(0, 5), 2.0 / 32);
  EXPECT_DOUBLE_EQ(McNemarExactP(1, 5), 2.0 * (1 + 6) / 64);
  EXPECT_DOUBLE_EQ(McNemarExactP(5, 1), McNemarExactP(1, 5));
  EXPECT_FALSE(OddsRatio(0, 0).has_value());
  EXPECT_EQ(*OddsRatio(3, 0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(*OddsRatio(0, 3), 0);
}

TEST(McNemarTest, IsStableForAMillionPairs) {
  // From exact integer arithmetic: 2 sum of C(n, i) over i <= k, divided by 2^n.
  EXPECT_NEAR(McNemarExactP(499'000, 501'000) / 0.0456082998653820864203096620361, 1, 1e-12);
  EXPECT_NEAR(McNemarExactP(4'700, 5'300) / 2.07603369592072480185506821e-9, 1, 1e-12);
  EXPECT_GT(McNemarExactP(0, 1'000'000), 0) << "2^-999999 is no double, and p is never 0";
  EXPECT_LT(McNemarExactP(0, 1'000'000), 1e-300);
}

TEST(BenjaminiHochbergTest, FollowsAHandWorkedExample) {
  // Sorted .005 .009 .05 .5 .9: m p / rank = .025 .0225 .0833 .625 .9; the least from the right.
  const std::vector<double> adjusted = BenjaminiHochberg({0.9, 0.009, 0.05, 0.005, 0.5});
  const std::vector<double> wanted = {0.9, 0.0225, 0.25 / 3, 0.0225, 0.625};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(adjusted[i], wanted[i], 1e-15) << i;
  }
  EXPECT_TRUE(BenjaminiHochberg({}).empty());
  EXPECT_EQ(BenjaminiHochberg({0.3}), std::vector<double>{0.3});
  EXPECT_EQ(BenjaminiHochberg({1, 1, 1}), (std::vector<double>{1, 1, 1}));
}

ProblemDifference Of(std::int64_t numerator, std::int64_t denominator) {
  return {
      static_cast<double>(numerator) / static_cast<double>(denominator), numerator, denominator};
}

/// All 2^n sign flips, one by one, in whole twelfths.
double EnumeratedP(const std::vector<std::int64_t>& twelfths) {
  const std::int64_t observed =
      std::abs(std::accumulate(twelfths.begin(), twelfths.end(), std::int64_t{0}));
  const std::size_t flips = std::size_t{1} << twelfths.size();
  int hits = 0;
  for (std::size_t signs = 0; signs < flips; ++signs) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < twelfths.size(); ++i) {
      sum += (signs >> i & 1) != 0 ? twelfths[i] : -twelfths[i];
    }
    hits += std::abs(sum) >= observed ? 1 : 0;
  }
  return hits / static_cast<double>(flips);
}

TEST(SignFlipTest, FollowsHandWorkedExamples) {
  EXPECT_EQ(SignFlipP({}, 10, 0), 1);
  EXPECT_EQ(SignFlipP({Of(0, 4), Of(0, 4)}, 10, 0), 1);
  EXPECT_DOUBLE_EQ(SignFlipP({Of(1, 4)}, 10, 0), 1);  // Either sign is as far out.
  // +++ and --- of 8.
  EXPECT_DOUBLE_EQ(SignFlipP({Of(1, 4), Of(1, 4), Of(1, 4)}, 10, 0), 0.25);
  // 3 + 1 = 4 and -4, and no other of 4; problems that do not differ change nothing.
  EXPECT_DOUBLE_EQ(SignFlipP({Of(3, 4), Of(0, 4), Of(1, 4), Of(0, 4)}, 10, 0), 0.5);
  EXPECT_DOUBLE_EQ(SignFlipP({Of(3, 4), Of(-1, 4)}, 10, 0), 1);
}

TEST(SignFlipTest, EqualsEnumerationOnSmallCells) {
  RandomStream random(1);
  const std::int64_t denominators[] = {1, 2, 3, 4, 6, 12};
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<ProblemDifference> differences;
    std::vector<std::int64_t> twelfths;
    const std::uint32_t problems = 1 + random.Below(10);
    for (std::uint32_t i = 0; i < problems; ++i) {
      const std::int64_t denominator = denominators[random.Below(6)];
      const std::int64_t numerator =
          static_cast<std::int64_t>(random.Below(static_cast<std::uint32_t>(2 * denominator + 1))) -
          denominator;
      differences.push_back(Of(numerator, denominator));
      twelfths.push_back(numerator * 12 / denominator);
    }
    EXPECT_NEAR(SignFlipP(differences, 1, 0), EnumeratedP(twelfths), 1e-12) << "trial " << trial;
  }
}

TEST(SignFlipTest, EstimatesWhereNoStepIsShared) {
  // Seven differences of one sign: 2 of 128 flips are as far out.
  std::vector<ProblemDifference> differences;
  for (int i = 1; i <= 7; ++i) {
    differences.push_back({std::sqrt(i), 0, 0});
  }
  const double p = SignFlipP(differences, 100'000, 3);
  EXPECT_NEAR(p, 2.0 / 128, 5 * std::sqrt(2.0 / 128 / 1e5));
  EXPECT_EQ(p, SignFlipP(differences, 100'000, 3)) << "the same seed, the same p";
  EXPECT_NE(p, SignFlipP(differences, 100'000, 4));
  // 100 alike: none of 99 flips will be as far out; the observed one counts.
  EXPECT_DOUBLE_EQ(SignFlipMonteCarloP(std::vector<double>(100, 0.1), 99, 0), 0.01);
}

TEST(SignFlipTest, EstimateAgreesWithTheExactDistribution) {
  RandomStream random(5);
  std::vector<ProblemDifference> differences;
  std::vector<double> values;
  for (int i = 0; i < 80; ++i) {
    differences.push_back(Of(static_cast<std::int64_t>(random.Below(9)) - 3, 20));
    values.push_back(differences.back().value);
  }
  const double exact = SignFlipP(differences, 1, 0);
  const double estimate = SignFlipMonteCarloP(values, 200'000, 0);
  EXPECT_GT(exact, 1e-5);
  EXPECT_NEAR(estimate, exact, 5 * std::sqrt(exact / 200'000) + 1e-5);
}

TEST(RandomStreamTest, IsTheSameOnEveryPlatform) {
  // SplitMix64 from 1234567, the published test vector of the generator.
  RandomStream random(1234567);
  EXPECT_EQ(random.Bits(), 6457827717110365317ULL);
  EXPECT_EQ(random.Bits(), 3203168211198807973ULL);
}

TEST(BootstrapTest, IsAFunctionOfItsSeed) {
  std::vector<double> values;
  for (int i = 0; i < 40; ++i) {
    values.push_back(std::sin(i));
  }
  const Interval one = *BootstrapInterval(values, 0.95, 2'000, 7);
  const Interval again = *BootstrapInterval(values, 0.95, 2'000, 7);
  const Interval other = *BootstrapInterval(values, 0.95, 2'000, 8);
  EXPECT_EQ(one.low, again.low);
  EXPECT_EQ(one.high, again.high);
  EXPECT_NE(one.low, other.low);
  const Interval narrower = *BootstrapInterval(values, 0.5, 2'000, 7);
  EXPECT_GT(narrower.low, one.low);
  EXPECT_LT(narrower.high, one.high);
}

TEST(BootstrapTest, HasTheQuantilesOfTheMean) {
  // The mean of n resampled coin values is Bin(n, 1/2) / n: at n = 100 the 2.5 % and 97.5 %
  // quantiles are 0.40 and 0.60.
  std::vector<double> values(100, 0.0);
  std::fill(values.begin(), values.begin() + 50, 1.0);
  const Interval interval = *BootstrapInterval(values, 0.95, 20'000, 0);
  EXPECT_NEAR(interval.low, 0.40, 0.0101);
  EXPECT_NEAR(interval.high, 0.60, 0.0101);
  const Interval same = *BootstrapInterval({0.25, 0.25}, 0.95, 10, 0);
  EXPECT_EQ(same.low, 0.25);
  EXPECT_EQ(same.high, 0.25);
  EXPECT_FALSE(BootstrapInterval({0.5}, 0.95, 10, 0).has_value());
}

TEST(DetectableTest, IsTheNormalDesignFormula) {
  // SD of {-1, 1, -1, 1} is sqrt(4/3); z(.975) + z(.8) = 1.959964 + 0.841621.
  EXPECT_NEAR(*MinimumDetectableDifference({-1, 1, -1, 1}, 0.05, 0.8),
              (1.9599639845400545 + 0.8416212335729143) * std::sqrt(4.0 / 3) / 2,
              1e-12);
  EXPECT_FALSE(MinimumDetectableDifference({0, 0, 0}, 0.05, 0.8).has_value());
  EXPECT_FALSE(MinimumDetectableDifference({0.1}, 0.05, 0.8).has_value());
}

/// n choose k as an exact integer; 0 where k > n.
std::uint64_t Choose(std::int64_t n, std::int64_t k) {
  std::uint64_t out = 1;
  for (std::int64_t i = 0; i < k; ++i) {
    out = out * static_cast<std::uint64_t>(std::max<std::int64_t>(n - i, 0)) /
          static_cast<std::uint64_t>(i + 1);
  }
  return out;
}

TEST(PassAtKTest, EqualsTheDefinitionInExactFractions) {
  for (std::int64_t n = 1; n <= 30; ++n) {
    for (std::int64_t c = 0; c <= n; ++c) {
      for (std::int64_t k = 1; k <= n; ++k) {
        const auto all = Choose(n, k);
        const double wanted =
            static_cast<double>(all - Choose(n - c, k)) / static_cast<double>(all);
        ASSERT_NEAR(*PassAtK(n, c, k), wanted, 1e-14) << n << " " << c << " " << k;
      }
    }
  }
  EXPECT_EQ(*PassAtK(20, 7, 1), 0.35);
  EXPECT_EQ(*PassAtK(3, 1, 3), 1) << "every draw holds the pass";
  EXPECT_NEAR(*PassAtK(1'000'000, 1, 500'000), 0.5, 1e-12);
}

TEST(PassAtKTest, RefusesWhatHasNoEstimate) {
  EXPECT_FALSE(PassAtK(5, 1, 6).ok());
  EXPECT_FALSE(PassAtK(5, 6, 1).ok());
  EXPECT_FALSE(PassAtK(5, 1, 0).ok());
  EXPECT_FALSE(PassAtK(0, 0, 1).ok());
  CellOutcomes cell;
  EXPECT_FALSE(CellPassAtK(cell, 1).ok());
  cell.problems = {{"one", {true, false}}, {"two", {false, false}}};
  EXPECT_EQ(*CellPassAtK(cell, 1), 0.25);
  EXPECT_EQ(*CellPassAtK(cell, 2), 0.5);
  cell.problems.push_back({"three", {true}});
  const auto refused = CellPassAtK(cell, 2);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(std::string(refused.status().message()).find("three"), std::string::npos);
}

}  // namespace
}  // namespace bitsweep
