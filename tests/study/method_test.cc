// How a sweep file says how to quantize and fine-tune: names, ranges, places of mistakes, what
// becomes of it in specs and keys, and what people read.
#include <algorithm>
#include <fstream>
#include <map>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/study/methods.h"
#include "coordinator/study/needs.h"
#include "tests/study/plan_scene.h"

namespace bitsweep {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Mistakes(const std::string& text) {
  const absl::StatusOr<SweepSpec> spec = ParseSweep(text, "s.yaml");
  return spec.ok() ? "" : std::string(spec.status().message());
}

/// kSmallSweep, whose rq1 also asks for the fine-tuning `kl`, which stands on line 11.
std::string Tuned(const std::string& kl) {
  const std::string asked = Replaced(
      kSmallSweep, "calibrations: [code]}", "calibrations: [code], finetunes: [none, kl]}");
  return Replaced(asked, "benchmarks:\n", "finetunes: {kl: {" + kl + "}}\nbenchmarks:\n");
}

/// kSmallSweep, whose 2-bit (line 7) has these options.
std::string WithOptions(const std::string& options) {
  return Replaced(kSmallSweep, "codebooks: 2, ", "options: {" + options + "}, codebooks: 2, ");
}

const StageDefinition& FinetuneStage(const SweepPlan& plan) {
  return StageOf(plan, *CellOf(plan, "2-bit", "code", "kl").finetune);
}

json MethodOf(const StageDefinition& stage) {
  return json::parse(stage.spec).at("method");
}

TEST(MethodTest, AFinetuningReadsEveryOption) {
  const SweepSpec spec =
      Parse(Tuned("objective: teacher-kl, learning_rate: 2.0e-4, epochs: 2, early_stop: 0, batch: "
                  "4, train: [norms, codebooks], gradient_checkpointing: on"));
  const FinetuneSpec& kl = *spec.FindFinetune("kl");
  EXPECT_EQ(kl.learning_rate, 2e-4);
  EXPECT_EQ(kl.epochs, 2);
  EXPECT_EQ(kl.early_stop, 0);
  EXPECT_EQ(kl.batch, 4);
  EXPECT_THAT(kl.train, ElementsAre("codebooks", "norms")) << "in one order, however written";
  EXPECT_EQ(kl.gradient_checkpointing, "on");
  EXPECT_THAT(Parse(Tuned("train: norms")).FindFinetune("kl")->train, ElementsAre("norms"));
  EXPECT_THAT(Parse(Tuned("")).FindFinetune("kl")->train, IsEmpty());
}

TEST(MethodTest, MistakesInAFinetuningNamePlaceFoundAndAllowed) {
  EXPECT_EQ(Mistakes(Tuned("objective: teacher-lk")),
            absl::StrCat("s.yaml:11: finetune 'kl': objective: found 'teacher-lk'; allowed: ",
                         absl::StrJoin(ObjectiveNames(), ", "),
                         "; did you mean 'teacher-kl'?"));
  EXPECT_EQ(Mistakes(Tuned("objective: none")),
            "s.yaml:11: finetune 'kl': objective: found 'none'; no fine-tuning is not declared, a "
            "question asks for it with `finetunes: [none, ...]`");
  EXPECT_EQ(Mistakes(Tuned("train: [codebooks, codes]")),
            "s.yaml:11: finetune 'kl': train: found 'codes'; allowed: codebooks, scales, norms, "
            "embeddings, lm_head");
  EXPECT_EQ(Mistakes(Tuned("train: []")),
            "s.yaml:11: finetune 'kl': train: found an empty list; allowed: at least one of "
            "codebooks, scales, norms, embeddings, lm_head; without `train` all of them");
  EXPECT_THAT(Mistakes(Tuned("train: [norms, norms]")), HasSubstr("'norms' is listed twice"));
  EXPECT_THAT(Mistakes(Tuned("train: {norms: true}")), HasSubstr("train: found a mapping"));
  EXPECT_EQ(Mistakes(Tuned("batch: 0")),
            "s.yaml:11: finetune 'kl': batch: found '0'; allowed: an integer from 1 to 4096");
  EXPECT_THAT(Mistakes(Tuned("learning_rate: 0")),
              HasSubstr("learning_rate: found '0'; allowed: a number from 1e-12 to 1"));
  EXPECT_THAT(Mistakes(Tuned("learning_rate: 1.5")), HasSubstr("learning_rate: found '1.5'"));
  EXPECT_THAT(Mistakes(Tuned("epochs: 2.5")),
              HasSubstr("epochs: found '2.5'; allowed: an integer"));
  EXPECT_THAT(Mistakes(Tuned("early_stop: -1")), HasSubstr("early_stop: found '-1'"));
  EXPECT_THAT(Mistakes(Tuned("gradient_checkpointing: yes")),
              HasSubstr("gradient_checkpointing: found 'yes'; allowed: auto, on, off"));
  EXPECT_THAT(Mistakes(Tuned("lr: 1.0e-4")),
              HasSubstr("finetune 'kl': unknown key 'lr'; allowed: "));
}

TEST(MethodTest, Fp16IsNotFinetuned) {
  const std::string alone = Replaced(Tuned(""), "[fp16, 4-bit, 2-bit]", "[fp16]");
  EXPECT_EQ(Mistakes(alone),
            "s.yaml:18: question 'rq1': finetunes: found 'kl' with fp16 alone, which is not "
            "fine-tuned: fine-tuning repairs a quantized model; allowed: none; or add a precision");
  // Beside a precision it is the baseline, once, whatever the fine-tunings.
  const SweepPlan plan = PlanOf(Tuned(""));
  EXPECT_FALSE(CellOf(plan, "fp16", "none").finetune);
  EXPECT_EQ(std::count_if(plan.cells.begin(),
                          plan.cells.end(),
                          [](const CellDefinition& cell) { return cell.precision == "fp16"; }),
            2)
      << "two languages";
}

TEST(MethodTest, FinetunedCellsChainThroughTheQuantizedCheckpoint) {
  const SweepSpec spec = Parse(kStudyGrid);
  const absl::StatusOr<SweepPlan> plan =
      PlanModel(spec, Files(spec), OptionsOf(), "CodeLlama-7b-hf", Manifest("d"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const CellDefinition& cell : plan->cells) {
    if (cell.finetuned == "kl") {
      ASSERT_TRUE(cell.quantize && cell.finetune);
      EXPECT_THAT(StageOf(*plan, *cell.finetune).upstream, ElementsAre(*cell.quantize));
      EXPECT_THAT(StageOf(*plan, *cell.generate).upstream, ElementsAre(*cell.finetune));
      const json quantize = json::parse(StageOf(*plan, *cell.quantize).spec);
      const json finetune = json::parse(StageOf(*plan, *cell.finetune).spec);
      EXPECT_EQ(finetune.at("calibration").at("seed"), quantize.at("seed"))
          << "the quantization's own sequences";
    }
  }
}

TEST(MethodTest, OptionsAtTheirDefaultAreInNoKey) {
  const SweepPlan plan = PlanOf(Tuned(""));
  // As it was before there were batch and train: what is cached stays so.
  EXPECT_EQ(json::parse(FinetuneStage(plan).parameters).at("method").dump(),
            R"({"early_stop":3,"epochs":5,"learning_rate":1e-05,"objective":"teacher-kl"})");
  const std::set<StageKey> keys = Keys(plan);
  for (const char* same : {"batch: 1",
                           "train: [lm_head, codebooks, scales, norms, embeddings]",
                           "gradient_checkpointing: off",
                           "products: f32",
                           "learning_rate: 0.00001, epochs: 5"}) {
    EXPECT_EQ(Keys(PlanOf(Tuned(same))), keys) << same;
  }
  EXPECT_EQ(Keys(PlanOf(WithOptions("initialisation: kmeans"))), Keys(PlanOf(kSmallSweep)));
}

TEST(MethodTest, WhatChangesTheResultChangesTheKeyFromThereOn) {
  const SweepPlan plan = PlanOf(Tuned(""));
  for (const char* other : {"batch: 2",
                            "train: [norms]",
                            "learning_rate: 2.0e-4",
                            "epochs: 4",
                            "early_stop: 0",
                            "products: bf16"}) {
    const SweepPlan changed = PlanOf(Tuned(other));
    EXPECT_NE(FinetuneStage(changed).key, FinetuneStage(plan).key) << other;
    EXPECT_EQ(Keys(changed, StageKind::kQuantize), Keys(plan, StageKind::kQuantize)) << other;
    EXPECT_EQ(*CellOf(changed, "2-bit", "code").grade, *CellOf(plan, "2-bit", "code").grade);
    EXPECT_NE(*CellOf(changed, "2-bit", "code", "kl").grade,
              *CellOf(plan, "2-bit", "code", "kl").grade);
  }
  const json method = MethodOf(FinetuneStage(PlanOf(Tuned("batch: 2, train: [norms, scales]"))));
  EXPECT_EQ(method.at("batch"), 2);
  EXPECT_EQ(method.at("train"), (json{"scales", "norms"}));
  EXPECT_EQ(MethodOf(FinetuneStage(PlanOf(Tuned("gradient_checkpointing: on"))))
                .at("gradient_checkpointing"),
            "on");
}

TEST(MethodTest, QuantizerOptionsAreReadAndGoIntoTheKey) {
  const SweepSpec spec = Parse(
      WithOptions("sweeps: 1, relative_mse_tolerance: 0.01, codebook_update: adam, initialisation: "
                  "weighted-kmeans, block_tuning: {epochs: 5, learning_rate: 1.0e-4}"));
  EXPECT_EQ(spec.FindPrecision("2-bit")->options.dump(),
            R"({"block_tuning":{"epochs":5,"learning_rate":0.0001},"codebook_update":"adam",)"
            R"("initialisation":"weighted-kmeans","relative_mse_tolerance":0.01,"sweeps":1})");
  const SweepPlan plan = PlanOf(kSmallSweep);
  const SweepPlan tuned = PlanOf(WithOptions("block_tuning: {}"));
  const StageDefinition& stage = StageOf(tuned, *CellOf(tuned, "2-bit", "code").quantize);
  EXPECT_EQ(MethodOf(stage).at("block_tuning"), json::object()) << "on, with the engine's defaults";
  EXPECT_NE(stage.key, *CellOf(plan, "2-bit", "code").quantize);
  EXPECT_EQ(*CellOf(tuned, "4-bit", "code").quantize, *CellOf(plan, "4-bit", "code").quantize);
}

TEST(MethodTest, MistakesInQuantizerOptionsAreFoundBeforeAnythingRuns) {
  EXPECT_EQ(Mistakes(WithOptions("initialisation: weighted")),
            "s.yaml:7: precision '2-bit': options: initialisation: found 'weighted'; allowed: "
            "kmeans, weighted-kmeans; did you mean 'weighted-kmeans'?");
  EXPECT_EQ(Mistakes(WithOptions("block_tuning: {epoch: 3}")),
            "s.yaml:7: precision '2-bit': options: block_tuning: unknown key 'epoch'; allowed: "
            "learning_rate, epochs, early_stop, batch, products; did you mean 'epochs'?");
  EXPECT_THAT(Mistakes(WithOptions("block_tuning: true")),
              HasSubstr("options: block_tuning: found 'true'; a mapping"));
  EXPECT_THAT(Mistakes(WithOptions("block_tuning: {products: f16}")),
              HasSubstr("block_tuning: products: found 'f16'; allowed: f32, bf16"));
  EXPECT_EQ(
      Parse(WithOptions("block_tuning: {products: bf16}")).FindPrecision("2-bit")->options.dump(),
      R"({"block_tuning":{"products":"bf16"}})");
  EXPECT_THAT(Mistakes(WithOptions("block_tuning: {batch: 0}")),
              HasSubstr("block_tuning: batch: found '0'; allowed: an integer from 1 to 4096"));
  EXPECT_THAT(Mistakes(WithOptions("sweep: 3")),
              HasSubstr("options: unknown key 'sweep'; allowed: "));
  EXPECT_EQ(Mistakes(WithOptions("beam_size: 2")), "");
  EXPECT_THAT(Mistakes(WithOptions("beam_size: 65")), HasSubstr("beam_size: found '65'"));
  EXPECT_THAT(Mistakes(WithOptions("relative_mse_tolerance: 2")),
              HasSubstr("relative_mse_tolerance: found '2'; allowed: a number from 0 to 1"));
  EXPECT_THAT(Mistakes(WithOptions("codebooks: 3")),
              HasSubstr("options: codebooks: is no option, it stands beside `options`"));
  EXPECT_EQ(Mistakes(Replaced(kSmallSweep, "codebooks: 2, ", "block_tuning: {}, codebooks: 2, ")),
            "s.yaml:7: precision '2-bit': block_tuning: is an option; it stands in `options: "
            "{block_tuning: ...}`");
}

TEST(MethodTest, PvTuningHasLimitsOfItsOwn) {
  const SweepSpec spec =
      Parse(Tuned("objective: pv-teacher-kl, code_settled: 0.25, code_alternatives: 4, "
                  "learning_rate_end: 0.5"));
  EXPECT_EQ(spec.FindFinetune("kl")->engine_options.dump(),
            R"({"code_alternatives":4,"code_settled":0.25,"learning_rate_end":0.5})");
  EXPECT_THAT(FinetuneText(*spec.FindFinetune("kl")),
              HasSubstr("batch 1, code_alternatives 4, code_settled 0.25, learning_rate_end 0.5; "
                        "trains codes, codebooks, "));
  const SweepPlan plan = PlanOf(Tuned("objective: pv-teacher-kl"));
  EXPECT_NE(FinetuneStage(plan).key, FinetuneStage(PlanOf(Tuned(""))).key);
  EXPECT_NE(FinetuneStage(PlanOf(Tuned("objective: pv-teacher-kl, code_alternatives: 4"))).key,
            FinetuneStage(plan).key);
  EXPECT_EQ(MethodOf(FinetuneStage(plan)).at("objective"), "pv-teacher-kl");
  EXPECT_GT(FinetuneStage(plan).needs.host_bytes,
            FinetuneStage(PlanOf(Tuned(""))).needs.host_bytes);
  EXPECT_EQ(Mistakes(Tuned("code_alternatives: 8")),
            "s.yaml:11: finetune 'kl': code_alternatives: belongs to objective pv-teacher-kl");
  EXPECT_THAT(Mistakes(Tuned("objective: pv-teacher-kl, code_settled: 1")),
              HasSubstr("code_settled: found '1'; allowed: a number from 0 to 0.99"));
  EXPECT_THAT(Mistakes(Tuned("learning_rate_end: 2")),
              HasSubstr("learning_rate_end: found '2'; allowed: a number from 0 to 1"));
  EXPECT_THAT(Mistakes(Tuned("objective: pv-teacher-kl, code_alternatives: 65")),
              HasSubstr("code_alternatives: found '65'; allowed: an integer from 2 to 64"));
}

/// What stage specs may say, a sweep file can.
TEST(MethodTest, NamesAreThoseOfTheStageSpecsSchema) {
  std::ifstream file("../proto/schemas/stage_spec.schema.json");
  ASSERT_TRUE(file);
  const json definitions = json::parse(file).at("$defs");
  const auto values = [](const json& member) {
    return member.contains("const") ? json::array({member.at("const")}) : member.at("enum");
  };
  // One value of each member; where none stands here, 1 is one.
  const std::map<std::string, json> some = {{"train", {"norms"}},
                                            {"block_tuning", json::object()},
                                            {"code_alternatives", 4},
                                            {"code_settled", 0.5}};
  const auto texts = [&](const std::string& name, const json& member) {
    std::vector<std::string> out;
    if (member.contains("const") || member.contains("enum")) {
      for (const json& value : values(member)) {
        out.push_back(name + ": " + value.dump());
      }
    } else {
      out.push_back(name + ": " + (some.contains(name) ? some.at(name).dump() : "1"));
    }
    return out;
  };
  for (const auto& [name, member] : definitions.at("finetune_method").at("properties").items()) {
    const bool of_codes = name.starts_with("code_");
    for (const std::string& text : texts(name, member)) {
      EXPECT_EQ(Mistakes(Tuned((of_codes ? "objective: pv-teacher-kl, " : "") + text)), "") << text;
    }
  }
  EXPECT_EQ(json(TrainedPartNames()),
            definitions.at("finetune_method").at("properties").at("train").at("items").at("enum"));
  const json& tuning = definitions.at("method").at("properties").at("block_tuning");
  for (const auto& [name, member] : tuning.at("properties").items()) {
    for (const std::string& text : texts(name, member)) {
      EXPECT_EQ(Mistakes(WithOptions("block_tuning: {" + text + "}")), "") << text;
    }
  }
  const std::set<std::string> beside = {"name", "codebooks", "codebook_bits", "group_size"};
  for (const auto& [name, member] : definitions.at("method").at("properties").items()) {
    for (const std::string& text : texts(name, member)) {
      EXPECT_EQ(beside.contains(name) ? "" : Mistakes(WithOptions(text)), "") << text;
    }
  }
}

TEST(MethodTest, PlansSayWhatFinetuningsAndOptionsAre) {
  const SweepSpec spec =
      Parse(Replaced(Tuned("learning_rate: 2.0e-4, epochs: 2, batch: 2, train: [scales, norms]"),
                     "codebooks: 2, ",
                     "options: {block_tuning: {epochs: 5}}, codebooks: 2, "));
  const std::string text = PlanText(spec, {}, {}, 0);
  EXPECT_THAT(text, HasSubstr("options      2-bit: block_tuning {\"epochs\":5}\n"));
  EXPECT_THAT(
      text,
      HasSubstr("fine-tuning  kl: teacher-kl, learning rate 0.0002, at most 2 epochs, early "
                "stop 3, batch 2; trains scales, norms\n"));
  EXPECT_EQ(PlanJson(spec, {}, {}, 0)["finetunes"], json::parse(R"([{"name": "kl",
      "objective": "teacher-kl", "learning_rate": 0.0002, "epochs": 2, "early_stop": 3, "batch": 2,
      "train": ["scales", "norms"], "products": "f32", "gradient_checkpointing": "auto"}])"));
  EXPECT_THAT(PlanJson(Parse(kSmallSweep), {}, {}, 0)["finetunes"], IsEmpty());
  const std::string pv = PlanText(
      Parse(Tuned("objective: pv-teacher-kl, learning_rate: 3.0e-4, epochs: 7")), {}, {}, 0);
  EXPECT_THAT(pv, HasSubstr("kl: pv-teacher-kl, learning rate 0.0003, 7 epochs, batch 1; trains"));
  FinetuneSpec steady;
  steady.early_stop = 0;
  EXPECT_THAT(FinetuneText(steady), HasSubstr("no early stop"));
}

TEST(MethodTest, PvTuningWithFewStepsIsNoted) {
  const auto notes = [](const std::string& options) {
    const SweepSpec spec = Parse(Tuned(options));
    EXPECT_THAT(PlanText(spec, {}, {}, 0),
                AllOf(HasSubstr("note: "), HasSubstr("No size is predicted")));
    return PlanJson(spec, {}, {}, 0)["notes"].dump();
  };
  const std::string few = notes("objective: pv-teacher-kl, epochs: 3, batch: 5");
  EXPECT_THAT(few, HasSubstr("Finetune 'kl' has 39 steps with calibration 'code'"));
  EXPECT_THAT(few, HasSubstr("PV-tuning wants 4000 and more"));
  EXPECT_THAT(notes("objective: pv-teacher-kl, epochs: 1000"), Not(HasSubstr("PV-tuning")));
  EXPECT_THAT(notes("objective: teacher-kl, epochs: 3"), Not(HasSubstr("PV-tuning")));
}

TEST(MethodTest, OnAGpuTheSequencesOfABatchPassTogether) {
  const absl::StatusOr<ModelShape> shape = ParseModelShape(kConfig, "config.json");
  ASSERT_TRUE(shape.ok());
  CalibrationSpec calibration;
  calibration.sequence_length = 4096;
  const auto bytes = [&](int batch, const char* device) {
    FinetuneSpec finetune;
    finetune.batch = batch;
    const StageLoad load = {&*shape, 1 << 20, {device, "f16"}, nullptr};
    const StageNeeds needs = FinetuneNeeds(load, PrecisionSpec(), calibration, finetune);
    return needs.gpus > 0 ? needs.gpu_bytes : needs.host_bytes;
  };
  EXPECT_GT(bytes(2, "cuda"), bytes(1, "cuda"));
  EXPECT_EQ(bytes(64, "cuda"), bytes(2, "cuda")) << "8192 tokens at a time";
  EXPECT_EQ(bytes(64, "cpu"), bytes(1, "cpu"));
}

TEST(MethodTest, CodesThatMoveTakeMemoryForEachAlternative) {
  const absl::StatusOr<ModelShape> shape = ParseModelShape(kConfig, "config.json");
  ASSERT_TRUE(shape.ok());
  std::int64_t groups = 0;
  for (const LinearShape& linear : BlockLinears(*shape)) {
    groups += shape->layers * linear.out * linear.in / 8;
  }
  const auto bytes = [&](const char* objective, const char* device, int codebooks, int more) {
    PrecisionSpec precision;
    precision.codebooks = codebooks;
    precision.group_size = 8;
    CalibrationSpec calibration;
    calibration.sequence_length = 4096;
    FinetuneSpec finetune;
    finetune.objective = objective;
    if (more > 0) {
      finetune.engine_options["code_alternatives"] = more;
    }
    const StageLoad load = {&*shape, 1 << 20, {device, "f16"}, nullptr};
    const StageNeeds needs = FinetuneNeeds(load, precision, calibration, finetune);
    return needs.gpus > 0 ? needs.gpu_bytes : needs.host_bytes;
  };
  const auto moved = [&](const char* device, int codebooks, int more) {
    return static_cast<double>(bytes("pv-teacher-kl", device, codebooks, more) -
                               bytes("teacher-kl", device, codebooks, more)) /
           static_cast<double>(groups);
  };
  // Norms are counted with the linears.
  EXPECT_NEAR(moved("cuda", 2, 0) / (8 * (24 + 2 * 8) + 12 * 2), 1.0, 0.002);
  EXPECT_NEAR(moved("cuda", 4, 64) / (64 * (24 + 4 * 8) + 12 * 4), 1.0, 0.002);
  EXPECT_NEAR(moved("cpu", 2, 16) / (16 * (24 + 2 * 4) + 12 * 2), 1.0, 0.002);
}

}  // namespace
}  // namespace bitsweep
