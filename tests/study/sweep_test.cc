#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_spec.h"
#include "tests/study/sweep_files.h"

namespace bitsweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// The message for a sweep file with a mistake; "" where it was accepted.
std::string Mistakes(const std::string& text,
                     const std::map<std::string, std::string>& settings = {}) {
  const absl::StatusOr<SweepSpec> spec = ParseSweep(text, "s.yaml", settings);
  return spec.ok() ? "" : std::string(spec.status().message());
}

std::string SmallWith(const std::string& from, const std::string& to) {
  const std::string text = Replaced(kSmallSweep, from, to);
  EXPECT_NE(text, kSmallSweep) << "the sweep has no '" << from << "'";
  return text;
}

TEST(SweepTest, SmallSweepReadsWithDefaults) {
  const absl::StatusOr<SweepSpec> spec = ParseSweep(kSmallSweep, "s.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "small");
  ASSERT_EQ(spec->models.size(), 2U);
  EXPECT_EQ(spec->models[1].path, "finch-4m") << "the path defaults to the id";
  EXPECT_EQ(spec->models[0].params, "1.3M");
  EXPECT_EQ(spec->FindPrecision("2-bit")->codebooks, 2);
  EXPECT_EQ(spec->FindPrecision("fp16"), nullptr);
  EXPECT_EQ(spec->FindCalibration("code")->parts[0].window, "pack");
  const BenchmarkSpec& demo = *spec->FindBenchmark("demo");
  EXPECT_EQ(demo.post_processing, "study");
  EXPECT_EQ(demo.grading.isolation, "bubblewrap");
  EXPECT_EQ(demo.sampling.max_tokens_total, 640);
  ASSERT_EQ(demo.files.size(), 2U);
  EXPECT_EQ(demo.files[0].language, "python");
  EXPECT_EQ(spec->FindQuestion("rq1")->kind, QuestionKind::kRq1);
  EXPECT_THAT(spec->FindQuestion("rq1")->finetunes, ElementsAre("none"));
  EXPECT_THAT(spec->FindQuestion("rq1")->benchmarks, ElementsAre("demo"));
  EXPECT_EQ(spec->FindQuestion("rq2")->reference_calibration, "random");
  EXPECT_FALSE(spec->numerics.has_value());
  EXPECT_THAT(spec->seeds, ElementsAre(0));
}

TEST(SweepTest, ReferencedFilesNameTheLineThatNamesThem) {
  const absl::StatusOr<SweepSpec> spec = ParseSweep(kSmallSweep, "s.yaml");
  ASSERT_TRUE(spec.ok());
  std::vector<std::string> places;
  for (const ReferencedFile& file : ReferencedFiles(*spec)) {
    places.push_back(file.place + " " + file.path + " " + file.owner + file.language);
  }
  EXPECT_THAT(places,
              ElementsAre("s.yaml:9 random.jsonl random",
                          "s.yaml:10 code.jsonl code",
                          "s.yaml:13 python.jsonl demopython",
                          "s.yaml:13 java.jsonl demojava"));
}

TEST(SweepTest, JsonIsReadLikeYaml) {
  const std::string json = R"({"name": "j",
	"models": [{"id": "m", "params": "1\u00b5"}],
  "benchmarks": {"b": {"languages": {"python": "p.jsonl"}, "sampling": {"samples": 3}}},
  "questions": {"rq1": {"models": ["m"], "precisions": ["fp16"]}}})";
  const absl::StatusOr<SweepSpec> spec = ParseSweep(json, "s.json");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->models[0].params, "1\u00b5");
  EXPECT_EQ(spec->benchmarks[0].sampling.samples, 3);
}

TEST(SweepTest, MisspeltKeyNamesLineAndNearestSpelling) {
  EXPECT_EQ(Mistakes(SmallWith("temperature:", "temprature:")),
            "s.yaml:15: benchmark 'demo': sampling: unknown key 'temprature'; allowed: samples, "
            "temperature, top_p, "
            "max_tokens_total, seed; did you mean 'temperature'?");
}

TEST(SweepTest, MisspeltSectionIsOneMistakeNotMany) {
  EXPECT_THAT(Mistakes(SmallWith("precisions:\n", "precisoins:\n")),
              ::testing::AllOf(StartsWith("s.yaml:5: unknown key 'precisoins'"),
                               HasSubstr("did you mean 'precisions'?"),
                               Not(HasSubstr("\n"))));
  EXPECT_THAT(Mistakes(SmallWith("models:\n", "modles:\n")),
              ::testing::AllOf(StartsWith("s.yaml:2: unknown key 'modles'"), Not(HasSubstr("\n"))));
}

TEST(SweepTest, MissingKeyIsNamed) {
  EXPECT_EQ(Mistakes(SmallWith("codebooks: 2, ", "")),
            "s.yaml:7: precision '2-bit': key 'codebooks' is missing");
  EXPECT_EQ(Mistakes(SmallWith("name: small\n", "seeds: [0]\n")),
            "s.yaml:1: key 'name' is missing");
}

TEST(SweepTest, UnknownNamesInQuestionsAreReported) {
  EXPECT_EQ(Mistakes(SmallWith("[sparrow-1m, finch-4m]", "[sparow-1m, finch-4m]")),
            "s.yaml:17: question 'rq1': unknown model 'sparow-1m'; allowed: sparrow-1m, finch-4m; "
            "did you mean "
            "'sparrow-1m'?");
  EXPECT_THAT(Mistakes(SmallWith("[fp16, 4-bit, 2-bit]", "[fp16, 4bit]")),
              HasSubstr("s.yaml:17: question 'rq1': unknown precision '4bit'; allowed: fp16, "
                        "4-bit, 2-bit; did you mean "
                        "'4-bit'?"));
  EXPECT_THAT(Mistakes(SmallWith("calibrations: [code]", "calibrations: [coed]")),
              HasSubstr("unknown calibration 'coed'; allowed: random, code; did you mean 'code'?"));
  EXPECT_THAT(
      Mistakes(SmallWith("calibrations: [code]", "calibrations: [code], benchmarks: [demos]")),
      HasSubstr("unknown benchmark 'demos'; allowed: demo; did you mean 'demo'?"));
  EXPECT_THAT(
      Mistakes(SmallWith("calibrations: [code]", "calibrations: [code], finetunes: [none, kl]")),
      HasSubstr("unknown finetune 'kl'; allowed: none"));
}

TEST(SweepTest, KindsDecideWhatAQuestionMayHave) {
  EXPECT_EQ(Mistakes(SmallWith("calibrations: [code]", "calibrations: [code, random]")),
            "s.yaml:17: question 'rq1': kind rq1 takes one calibration, found code, random; only "
            "kind rq2 compares "
            "calibrations");
  EXPECT_THAT(Mistakes(SmallWith(", reference: {calibration: random}", "")),
              HasSubstr("s.yaml:18: question 'rq2': kind rq2 needs `reference: {calibration: <one "
                        "of random, code>}`"));
  EXPECT_THAT(Mistakes(SmallWith("{calibration: random}", "{calibration: mixed}")),
              HasSubstr("reference: calibration 'mixed' is not among the question's calibrations"));
  EXPECT_THAT(Mistakes(SmallWith("calibrations: [code]",
                                 "calibrations: [code], reference: {calibration: code}")),
              HasSubstr("`reference` belongs to kind rq2"));
  EXPECT_THAT(Mistakes(SmallWith("  rq1:", "  first:")),
              HasSubstr("question 'first': its name is no kind"));
  EXPECT_EQ(Mistakes(SmallWith("  rq1: {", "  first: {kind: rq1, ")), "");
  EXPECT_THAT(Mistakes(SmallWith("  rq1: {", "  rq1-finetune: {")),
              HasSubstr("`finetunes` has none and at least one other"));
  EXPECT_THAT(Mistakes(SmallWith(", calibrations: [code]}", "}")),
              HasSubstr("question 'rq1': `calibrations` is needed"));
}

TEST(SweepTest, RangesAreChecked) {
  EXPECT_EQ(Mistakes(SmallWith("top_p: 0.95", "top_p: 0")),
            "s.yaml:15: benchmark 'demo': sampling: top_p: found '0'; allowed: a number in (0, 1]");
  EXPECT_EQ(Mistakes(SmallWith("top_p: 0.95", "top_p: 1")), "");
  EXPECT_THAT(Mistakes(SmallWith("top_p: 0.95", "top_p: 1.01")), HasSubstr("top_p: found '1.01'"));
  EXPECT_THAT(Mistakes(SmallWith("top_p: 0.95", "top_p: nan")), HasSubstr("top_p: found 'nan'"));
  EXPECT_THAT(Mistakes(SmallWith("samples: 2", "samples: 0")),
              HasSubstr("samples: found '0'; allowed: an integer from 1 to"));
  EXPECT_THAT(Mistakes(SmallWith("samples: 2", "samples: many")),
              HasSubstr("samples: found 'many'"));
  EXPECT_THAT(Mistakes(SmallWith("samples: 2", "samples: \"2\"")),
              HasSubstr("samples: found the text '2'"));
  EXPECT_THAT(Mistakes(SmallWith("samples: 2", "samples: [2]")),
              HasSubstr("samples: found a list"));
  EXPECT_THAT(Mistakes(SmallWith("temperature: 0.2", "temperature: -0.1")),
              HasSubstr("temperature: found '-0.1'"));
  EXPECT_EQ(Mistakes(SmallWith("temperature: 0.2", "temperature: 0")), "");
  EXPECT_THAT(Mistakes(SmallWith("codebook_bits: 8", "codebook_bits: 17")),
              HasSubstr("codebook_bits: found '17'; allowed: an integer from 1 to 16"));
  EXPECT_EQ(Mistakes(SmallWith("codebook_bits: 8", "codebook_bits: 16")), "");
  EXPECT_THAT(Mistakes(SmallWith("group_size: 8", "group_size: 12")),
              HasSubstr("allowed: 1, 2, 4, 8, 16, 32"));
  EXPECT_THAT(
      Mistakes(SmallWith("window: pack", "window: packed")),
      HasSubstr("window: found 'packed'; allowed: random, first, pack; did you mean 'pack'?"));
  EXPECT_THAT(Mistakes(SmallWith("sequences: 64,", "sequences: 64, validation: 64,")),
              HasSubstr("validation: 64 of 64 sequences leave none to calibrate with"));
  EXPECT_THAT(Mistakes(SmallWith("python: 60", "python: -1")),
              HasSubstr("problems: python: found '-1'"));
  EXPECT_THAT(Mistakes(SmallWith("java: 60", "rust: 60")),
              HasSubstr("problems: 'rust' is not among `languages`"));
  EXPECT_THAT(Mistakes(SmallWith("java: java.jsonl", "jav: java.jsonl")),
              HasSubstr("unknown language 'jav'; allowed: python, java; did you mean 'java'?"));
}

TEST(SweepTest, EveryMistakeIsReportedSortedByLine) {
  std::string text = SmallWith("samples: 2", "samples: 0");
  text = Replaced(text, "[sparrow-1m, finch-4m]", "[sparow, finch-4m]");
  text = Replaced(text, "codebooks: 4", "codeboks: 4");
  const std::string mistakes = Mistakes(text);
  EXPECT_EQ(std::count(mistakes.begin(), mistakes.end(), '\n'), 2) << mistakes;
  EXPECT_LT(mistakes.find("s.yaml:6:"), mistakes.find("s.yaml:15:"));
  EXPECT_LT(mistakes.find("s.yaml:15:"), mistakes.find("s.yaml:17:"));
}

TEST(SweepTest, MistakesAreCappedAndTheRestCounted) {
  std::string keys;
  for (int i = 0; i < kSweepErrorsMax + 5; ++i) {
    keys += "zz" + std::to_string(i) + ": 1\n";
  }
  const std::string mistakes = Mistakes(keys + kSmallSweep);
  EXPECT_EQ(std::count(mistakes.begin(), mistakes.end(), '\n'), kSweepErrorsMax);
  EXPECT_THAT(mistakes, HasSubstr("and 5 more mistakes"));
}

TEST(SweepTest, DuplicatesAreRefused) {
  EXPECT_THAT(Mistakes(SmallWith("id: finch-4m", "id: sparrow-1m")),
              HasSubstr("s.yaml:4: models: id 'sparrow-1m' is given twice"));
  EXPECT_THAT(Mistakes(SmallWith("  4-bit: {", "  2-bit: {")),
              HasSubstr("s.yaml:7: precisions: '2-bit' is given twice"));
  EXPECT_THAT(Mistakes(SmallWith("samples: 2,", "samples: 2, samples: 3,")),
              HasSubstr("key 'samples' is given twice"));
  EXPECT_THAT(Mistakes(SmallWith("[fp16, 4-bit, 2-bit]", "[fp16, 4-bit, 4-bit]")),
              HasSubstr("'4-bit' is listed twice"));
}

TEST(SweepTest, ReservedAndUnusableNamesAreRefused) {
  EXPECT_THAT(Mistakes(SmallWith("  2-bit: {", "  fp16: {")),
              HasSubstr("precisions: 'fp16' is reserved"));
  EXPECT_THAT(Mistakes(SmallWith("  random: {", "  none: {")),
              HasSubstr("calibrations: 'none' is reserved"));
  EXPECT_THAT(Mistakes(SmallWith("name: small", "name: a/b")),
              HasSubstr("s.yaml:1: name: 'a/b' is no name"));
  EXPECT_THAT(Mistakes(SmallWith("path: sparrow-1m", "path: ../sparrow-1m")),
              HasSubstr("has no '..'"));
  EXPECT_THAT(Mistakes(SmallWith("path: sparrow-1m", "path: /models/sparrow-1m")),
              HasSubstr("relative to the --model-root"));
}

TEST(SweepTest, OverridesOfAModelAreRefusedWithTheWayToGo) {
  EXPECT_THAT(Mistakes(SmallWith("path: sparrow-1m}", "path: sparrow-1m, sampling: {samples: 3}}")),
              HasSubstr("s.yaml:3: models[0]: sampling: a model cannot override the sampling"));
  EXPECT_THAT(Mistakes(SmallWith("path: sparrow-1m}", "resources: {cores: 3}}")),
              HasSubstr("goes to the top level"));
}

TEST(SweepTest, ResourcesAreSizesOfKnownModels) {
  const std::string text =
      std::string(kSmallSweep) +
      "resources: {sparrow-1m: {gpu_memory: 24GiB, host_memory: 1.5GB, cores: 2}}\n";
  const absl::StatusOr<SweepSpec> spec = ParseSweep(text, "s.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->resources.at("sparrow-1m").gpu_bytes, std::int64_t{24} << 30);
  EXPECT_EQ(spec->resources.at("sparrow-1m").host_bytes, 1'500'000'000);
  EXPECT_EQ(spec->resources.at("sparrow-1m").cores, 2);
  EXPECT_THAT(Mistakes(Replaced(text, "24GiB", "24 gigs")),
              HasSubstr("gpu_memory: found '24 gigs'; allowed: a size"));
  EXPECT_THAT(Mistakes(Replaced(text, "{sparrow-1m: {gpu", "{sparrow: {gpu")),
              HasSubstr("resources: unknown model 'sparrow'"));
}

TEST(SweepTest, VariablesHaveDefaultsThatSettingsOverride) {
  std::string text = std::string("variables: {data: demo, count: 2}\n") + kSmallSweep;
  text = Replaced(text, "path: random.jsonl", "path: \"${data}/random.jsonl\"");
  text = Replaced(text, "samples: 2", "samples: \"${count}\"");
  const absl::StatusOr<SweepSpec> defaults = ParseSweep(text, "s.yaml");
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->FindCalibration("random")->parts[0].path, "demo/random.jsonl");
  EXPECT_EQ(defaults->benchmarks[0].sampling.samples, 2);
  const absl::StatusOr<SweepSpec> set =
      ParseSweep(text, "s.yaml", {{"data", "/srv"}, {"count", "7"}});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->FindCalibration("random")->parts[0].path, "/srv/random.jsonl");
  EXPECT_EQ(set->benchmarks[0].sampling.samples, 7);
  EXPECT_THAT(Mistakes(text, {{"dat", "/srv"}}),
              HasSubstr("--set dat: the file has no such variable; allowed: count, data"));
  EXPECT_THAT(Mistakes(Replaced(text, "${data}", "${date}")),
              HasSubstr("s.yaml:10: unknown variable 'date'"));
  EXPECT_THAT(Mistakes(kSmallSweep, {{"data", "/srv"}}), HasSubstr("it has no `variables:`"));
}

TEST(SweepTest, ExcludeRulesMustMeanSomething) {
  const std::string text(kSmallSweep);
  EXPECT_EQ(Mistakes(text + "exclude:\n  - {model: finch-4m, precision: 2-bit}\n"), "");
  EXPECT_THAT(Mistakes(text + "exclude:\n  - {model: finch, precision: 2-bit}\n"),
              HasSubstr("s.yaml:20: exclude: unknown model 'finch'"));
  EXPECT_THAT(Mistakes(text + "exclude:\n  - {precision: fp16, calibration: code}\n"),
              HasSubstr("the rule excludes nothing"));
  EXPECT_THAT(Mistakes(text + "exclude:\n  - {}\n"), HasSubstr("an empty rule"));
  EXPECT_THAT(Mistakes(text + "exclude:\n  - {question: rq2}\n"),
              HasSubstr("question 'rq2': no cell is left"));
}

TEST(SweepTest, SeedsAndNumericsAreChecked) {
  const std::string text(kSmallSweep);
  EXPECT_EQ(Mistakes(text + "seeds: [0, 1, 2]\nnumerics: {device: cpu, dtype: f32}\n"), "");
  EXPECT_THAT(Mistakes(text + "seeds: [0, x]\n"),
              HasSubstr("s.yaml:19: seeds: found 'x'; allowed: integers"));
  EXPECT_THAT(Mistakes(text + "seeds: [1, 1]\n"), HasSubstr("seeds: '1' is listed twice"));
  EXPECT_THAT(Mistakes(text + "numerics: {device: gpu, dtype: f32}\n"),
              HasSubstr("device: found 'gpu'; allowed: cuda, cpu"));
  EXPECT_THAT(Mistakes(text + "numerics: {device: cpu}\n"),
              HasSubstr("numerics: key 'dtype' is missing"));
  EXPECT_THAT(Mistakes(Replaced(text, "samples: 2", "samples: 2, seed: 1") + "seeds: [0, 1]\n"),
              HasSubstr("a fixed sampling seed would repeat fp16's samples"));
}

TEST(SweepTest, BrokenYamlNamesItsLine) {
  EXPECT_THAT(Mistakes("name: x\nmodels: [a, b\n"), StartsWith("s.yaml:3: not YAML or JSON: "));
  EXPECT_THAT(Mistakes("- a\n- b\n"), StartsWith("s.yaml:1: a sweep file is a mapping"));
  EXPECT_THAT(Mistakes(""), StartsWith("s.yaml:1: a sweep file is a mapping"));
  EXPECT_THAT(Mistakes("name: x\nmodels: 3\nbenchmarks: [x]\nquestions: y\n"),
              ::testing::AllOf(HasSubstr("s.yaml:2: models: a list"),
                               HasSubstr("s.yaml:3: benchmarks: found a list"),
                               HasSubstr("s.yaml:4: questions: found 'y'")));
}

TEST(NearestTest, SwapsAndCaseCountLittle) {
  EXPECT_EQ(EditDistance("precisoins", "precisions"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(Nearest("Sparrow-1M", {"finch-4m", "sparrow-1m"}), "sparrow-1m");
  EXPECT_EQ(Nearest("zebra", {"finch-4m", "sparrow-1m"}), "");
}

}  // namespace
}  // namespace bitsweep
