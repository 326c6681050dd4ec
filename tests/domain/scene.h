// A small study on a Core, and the words that tests speak: submit, plan, lease, succeed. Every step
// checks the invariants. Also used by tests/store.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <absl/time/time.h>
#include <gtest/gtest.h>

#include "coordinator/domain/core.h"
#include "coordinator/domain/effects.h"
#include "coordinator/domain/handlers.h"

#include "proto/base/digest.h"

namespace bitsweep::testing {

inline StageKey Key(const std::string& name) {
  return StageKey(Sha256Hex(name));
}

/// One model at fp16 and at 2 bits (and 2 bits fine-tuned) on one benchmark: stages "inspect m",
/// "quantize m", "finetune m", "generate m fp16", "grade m fp16" and so on.
struct Study {
  std::string model = "m";
  std::string nonce = "1";  // Of the inspect stage.
  bool finetune = false;
  std::string isolation = "none";
};

inline StageDefinition Define(StageKind kind,
                              const std::string& name,
                              std::vector<StageKey> upstream = {}) {
  StageDefinition stage;
  stage.key = Key(name);
  stage.kind = kind;
  stage.label = name;
  stage.parameters = R"({"name":")" + name + R"("})";
  stage.spec = "{}";
  stage.needs.semantics = 1;
  stage.cost_estimate = 1.0;
  for (const StageKey& key : upstream) {
    stage.inputs.push_back({"/input", StageInput::Source::kArtifact, key.value(), "", ""});
  }
  stage.upstream = std::move(upstream);
  return stage;
}

inline std::string InspectName(const Study& study) {
  return "inspect " + study.model + " " + study.nonce;
}

inline std::vector<std::string> VariantsOf(const Study& study) {
  return study.finetune ? std::vector<std::string>{"fp16", "2-bit", "2-bit-finetuned"}
                        : std::vector<std::string>{"fp16", "2-bit"};
}

inline CellDefinition CellOf(const Study& study, const std::string& variant) {
  CellDefinition cell;
  cell.id = Sha256Hex(study.model + variant).substr(0, 16);
  cell.model = study.model;
  cell.family = "Sparrow";
  cell.params = "1M";
  cell.precision = variant == "fp16" ? "fp16" : "2-bit";
  cell.calibration = variant == "fp16" ? "none" : "code";
  cell.finetuned = variant == "2-bit-finetuned" ? "kl" : "none";
  cell.benchmark = "demo";
  cell.language = "python";
  cell.problems = 2;
  cell.samples = 2;
  cell.questions = {"rq1"};
  cell.inspect = Key(InspectName(study));
  return cell;
}

inline SweepPlan InspectPlan(const std::vector<Study>& studies) {
  SweepPlan plan;
  for (const Study& study : studies) {
    plan.stages.push_back(Define(StageKind::kInspect, InspectName(study)));
    plan.stages.back().needs.model_paths = {study.model};
    for (const std::string& variant : VariantsOf(study)) {
      plan.cells.push_back(CellOf(study, variant));
    }
  }
  return plan;
}

inline SweepPlan ModelPlan(const Study& study) {
  SweepPlan plan;
  const std::string& model = study.model;
  plan.stages.push_back(Define(StageKind::kQuantize, "quantize " + model));
  if (study.finetune) {
    plan.stages.push_back(
        Define(StageKind::kFinetune, "finetune " + model, {Key("quantize " + model)}));
  }
  for (const std::string& variant : VariantsOf(study)) {
    CellDefinition cell = CellOf(study, variant);
    std::vector<StageKey> upstream;
    if (variant != "fp16") {
      cell.quantize = Key("quantize " + model);
      upstream = {*cell.quantize};
    }
    if (variant == "2-bit-finetuned") {
      cell.finetune = Key("finetune " + model);
      upstream = {*cell.finetune};
    }
    const std::string end = " " + model + " " + variant;
    cell.generate = Key("generate" + end);
    cell.grade = Key("grade" + end);
    plan.stages.push_back(Define(StageKind::kGenerate, "generate" + end, upstream));
    plan.stages.push_back(Define(StageKind::kGrade, "grade" + end, {*cell.generate}));
    plan.stages.back().needs.isolation = study.isolation;
    plan.cells.push_back(cell);
  }
  return plan;
}

inline WorkerOffer Offer(const std::string& name, int slots = 4) {
  WorkerOffer offer;
  offer.name = name;
  offer.version = "0.1.0";
  offer.build = "test";
  offer.stages.assign(kStageKinds.begin(), kStageKinds.end());
  for (const StageKind kind : kStageKinds) {
    offer.semantics[std::string(ToString(kind))] = 1;
  }
  offer.host_bytes = std::int64_t{8} << 30;
  offer.cores = 8;
  offer.slots = slots;
  offer.isolation = "bubblewrap";
  offer.models = {"m", "n"};
  return offer;
}

/// What a stage of this kind leaves behind.
inline ArtifactManifest ArtifactOf(const std::string& name) {
  ArtifactManifest artifact;
  artifact.files = {{"out.json", 10, Digest(Sha256Hex("artifact of " + name))}};
  artifact.summary = R"({"weights_bytes": 1000, "effective_bits": 2.5, "parameters": 500})";
  return artifact;
}

class Scene : public ::testing::Test {
 protected:
  SweepId Submit(const std::vector<Study>& studies,
                 const std::string& request = "",
                 int priority = 0) {
    Submission submission;
    submission.request_id = request;
    submission.name = "study";
    submission.user = "tester";
    submission.priority = priority;
    submission.file_name = "study.yaml";
    submission.spec_text = "name: study";
    submission.settings = {{"samples", "2"}};
    submission.files = {{"demo.jsonl", Digest(Sha256Hex("demo"))}};
    submission.device = "cpu";
    submission.dtype = "f32";
    auto receipt = OnSubmit(core, out, submission, InspectPlan(studies), now);
    EXPECT_TRUE(receipt.ok()) << receipt.status();
    Check();
    return receipt->sweep;
  }
  void Plan(SweepId sweep, const Study& study) {
    const absl::Status status =
        OnModelPlanned(core, out, sweep, Key(InspectName(study)), ModelPlan(study), now);
    EXPECT_TRUE(status.ok()) << status;
    Check();
  }
  WorkerId Register(const WorkerOffer& offer, const std::vector<Fence>& held = {}) {
    const WorkerId id = OnWorkerRegistered(core, out, offer, held, now);
    Check();
    return id;
  }
  Fence Lease(const std::string& name, WorkerId worker) {
    EXPECT_EQ(OnAssign(core, out, {{Key(name), worker, 1}}, now), 1) << name;
    Check();
    return At(name).fence();
  }
  void Say(WorkerId worker, const WorkerMessage& message, std::vector<VerdictRow> verdicts = {}) {
    const absl::Status status =
        OnWorkerMessage(core, out, worker, message, std::move(verdicts), now);
    EXPECT_TRUE(status.ok()) << status;
    Check();
  }
  void Succeed(WorkerId worker,
               const Fence& fence,
               const std::string& name,
               std::vector<VerdictRow> verdicts = {}) {
    StageSucceeded message;
    message.fence = fence;
    message.artifact = ArtifactOf(name);
    message.log_tail = "log of " + name;
    message.build = "test";
    Say(worker, message, std::move(verdicts));
  }
  /// Leases, starts and finishes it.
  void Run(const std::string& name, WorkerId worker) {
    const Fence fence = Lease(name, worker);
    Say(worker, StageStarted{fence});
    Succeed(worker, fence, name);
  }
  void Fail(WorkerId worker, const Fence& fence, FailureClass failure) {
    Say(worker, StageFailed{fence, failure, "it broke", "log"});
  }
  void Tick(absl::Duration after) {
    // In steps as the app's, so that no stall is seen.
    const absl::Time until = now + after;
    while (now < until) {
      now = std::min(until, now + kTickInterval);
      OnTick(core, out, now);
    }
    Check();
  }
  /// Time passes while these workers keep their heartbeat.
  void TickAlive(absl::Duration after, const std::vector<std::pair<WorkerId, Heartbeat>>& alive) {
    const absl::Time until = now + after;
    while (now < until) {
      now = std::min(until, now + kTickInterval);
      for (const auto& [worker, heartbeat] : alive) {
        EXPECT_TRUE(OnWorkerMessage(core, out, worker, heartbeat, {}, now).ok());
      }
      OnTick(core, out, now);
    }
    Check();
  }
  void Check() {
    const absl::Status status = CheckInvariants(core);
    EXPECT_TRUE(status.ok()) << status;
  }

  Stage& At(const std::string& name) { return *core.FindStage(Key(name)); }
  StageState StateOf(const std::string& name) { return At(name).state(); }
  Sweep& SweepAt(SweepId id) { return *core.FindSweep(id); }
  int Cells(SweepId id, CellState state) {
    return SweepAt(id).cell_counts[static_cast<std::size_t>(state)];
  }
  /// Messages of one type to one worker since the last Clear.
  template <typename Message>
  std::vector<Message> Sent(WorkerId worker) {
    std::vector<Message> found;
    for (const Effects::Send& send : out.sends) {
      if (send.worker == worker && std::holds_alternative<Message>(send.message)) {
        found.push_back(std::get<Message>(send.message));
      }
    }
    return found;
  }
  template <typename Change>
  std::vector<Change> Changed() {
    std::vector<Change> found;
    for (const auto& change : out.changes) {
      if (const auto* one = std::get_if<Change>(&change)) {
        found.push_back(*one);
      }
    }
    return found;
  }
  void Clear() { out = Effects{}; }

  Core core;
  Effects out;
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
};

}  // namespace bitsweep::testing
