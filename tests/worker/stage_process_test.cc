// Stages as real child processes: bitsweep-engine-fake (tests/fakes) is the engine and the grader.
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitsweep_generated/semantics.h"
#include "tests/worker/memory_blobs.h"
#include "tests/worker/scratch_folder.h"
#include "worker/runtime/process_runner.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr auto kDeadline = std::chrono::seconds(120);  // Only a broken build reaches it.

/// The agent loop of these tests: calls wait until the test's thread asks for them.
class Mailbox {
 public:
  void Post(std::function<void()> call) {
    const std::lock_guard<std::mutex> lock(mutex_);
    calls_.push_back(std::move(call));
    changed_.notify_all();
  }
  /// Runs calls until `done`. False after the deadline.
  bool RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    while (!done()) {
      std::unique_lock<std::mutex> lock(mutex_);
      if (!changed_.wait_until(lock, end, [this] { return !calls_.empty(); })) {
        return false;
      }
      const std::function<void()> call = std::move(calls_.front());
      calls_.pop_front();
      lock.unlock();
      call();
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;
};

class Recorder : public StageListener {
 public:
  void OnStarted(const Fence& fence) override { started.push_back(fence); }
  void OnProgress(const StageProgress& value) override { progress.push_back(value); }
  void OnEnded(const StageEnd& end) override { ended.push_back(end); }
  std::vector<Fence> started;
  std::vector<StageProgress> progress;
  std::vector<StageEnd> ended;
};

/// Waits for something outside of this process, which cannot call back.
bool Await(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool IsAlive(pid_t pid) {
  const std::string stat = ScratchFolder::Read("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = stat.rfind(')');
  return end != std::string::npos && stat[end + 2] != 'Z';
}

/// Processes whose environment names `mark`: whatever of this agent's stages is left.
int ProcessesOf(const std::string& mark) {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string environment = ScratchFolder::Read(entry.path() / "environ");
    count += environment.find("BITSWEEP_WORKER_CACHE=" + mark) != std::string::npos ? 1 : 0;
  }
  return count;
}

/// An agent without its agent: everything below ProcessRunner.
struct Bench {
  explicit Bench(const ScratchFolder& scratch)
      : cache(*Cache::Open(scratch / "cache", std::int64_t{1} << 32)),
        models({scratch / "models"}, scratch / "cache/models.json"),
        children(cache->mark()) {
    const char* fake = std::getenv("BITSWEEP_FAKE_ENGINE");
    Workshop workshop{.cache = *cache,
                      .models = models,
                      .children = children,
                      .transfers = transfers,
                      .engine = fake,
                      .grader = fake,
                      .hang_after = hang_after,
                      .grace = absl::Milliseconds(300)};
    runner = std::make_unique<ProcessRunner>(
        workshop, [this](std::function<void()> call) { mailbox.Post(std::move(call)); }, 1);
    runner->SetListener(&recorder);
  }

  static inline absl::Duration hang_after = absl::Hours(1);
  Mailbox mailbox;
  MemoryBlobs blobs;
  Recorder recorder;
  std::unique_ptr<Cache> cache;
  Models models;
  Children children;
  Transfers transfers{*cache, blobs};
  std::unique_ptr<ProcessRunner> runner;
};

class StageProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("BITSWEEP_FAKE_ENGINE") == nullptr) {
      GTEST_FAIL() << "BITSWEEP_FAKE_ENGINE must name bitsweep-engine-fake (ctest sets it)";
    }
    scratch_.Write("models/tiny/config.json", R"({"num_hidden_layers": 3})");
    scratch_.Write("models/tiny/model.safetensors", "0123456789");
    Bench::hang_after = absl::Hours(1);
  }
  void TearDown() override {
    if (bench_) {
      EXPECT_EQ(ProcessesOf(bench_->cache->mark()), 0) << "a process is left behind";
    }
  }

  Bench& bench() {
    if (!bench_) {
      bench_ = std::make_unique<Bench>(scratch_);
    }
    return *bench_;
  }

  Assignment Make(StageKind kind, json spec, int attempt = 1) {
    Assignment assignment;
    assignment.stage.kind = kind;
    assignment.stage.key = StageKey(Sha256Hex(std::string(ToString(kind))));
    assignment.stage.needs.semantics = SemanticsOf(ToString(kind));
    assignment.stage.spec = spec.dump();
    assignment.fence = {
        .stage = assignment.stage.key, .attempt = attempt, .lease = LeaseId(attempt)};
    assignment.cores = 2;
    return assignment;
  }
  static StageInput Input(const std::string& pointer,
                          StageInput::Source source,
                          const std::string& value,
                          const std::string& file = "",
                          const std::string& digest = "") {
    return {.pointer = pointer, .source = source, .value = value, .file = file, .digest = digest};
  }
  Assignment Inspect(const json& fake = json::object()) {
    Assignment assignment = Make(StageKind::kInspect, {{"fake", fake}});
    assignment.stage.inputs = {Input("/model/dir", StageInput::Source::kModelPath, "tiny")};
    return assignment;
  }
  Assignment Quantize(const json& fake = json::object(), int attempt = 1) {
    Assignment assignment =
        Make(StageKind::kQuantize,
             {{"fake", fake},
              {"seed", 7},
              {"method", {{"codebooks", 2}, {"codebook_bits", 8}, {"group_size", 8}}},
              {"calibration", {{"parts", json::array({{{"sequences", 1}}})}}}},
             attempt);
    assignment.stage.inputs = {Input("/model/dir", StageInput::Source::kModelPath, "tiny"),
                               Input("/calibration/parts/0/file",
                                     StageInput::Source::kBlob,
                                     bench().blobs.Add("calibration").value())};
    return assignment;
  }

  StageEnd RunToEnd(const Assignment& assignment) {
    const std::size_t before = bench().recorder.ended.size();
    bench().runner->Start(assignment);
    EXPECT_TRUE(bench().mailbox.RunUntil([&] { return bench().recorder.ended.size() > before; }));
    return bench().recorder.ended.back();
  }
  StageSucceeded RunToSuccess(const Assignment& assignment) {
    const StageEnd end = RunToEnd(assignment);
    const auto* succeeded = std::get_if<StageSucceeded>(&end);
    if (succeeded == nullptr) {
      const auto* failed = std::get_if<StageFailed>(&end);
      ADD_FAILURE() << (failed == nullptr ? "dropped" : failed->message);
      return {};
    }
    return *succeeded;
  }
  StageFailed RunToFailure(const Assignment& assignment) {
    const StageEnd end = RunToEnd(assignment);
    const auto* failed = std::get_if<StageFailed>(&end);
    if (failed == nullptr) {
      ADD_FAILURE() << "the stage did not fail";
      return {};
    }
    return *failed;
  }
  bool AwaitProgress(const std::string& phase) {
    return bench().mailbox.RunUntil([&] {
      const auto& all = bench().recorder.progress;
      return std::any_of(all.begin(), all.end(), [&](const auto& p) { return p.phase == phase; });
    });
  }

  ScratchFolder scratch_;
  std::unique_ptr<Bench> bench_;
};

TEST_F(StageProcessTest, ASuccessUploadsItsFilesAndReportsThem) {
  const Assignment assignment = Quantize();
  const StageSucceeded result = RunToSuccess(assignment);
  EXPECT_EQ(result.fence, assignment.fence);
  ASSERT_EQ(result.artifact.files.size(), 6U);
  EXPECT_EQ(result.artifact.files[0].name, "block-0.safetensors");
  for (const ArtifactFile& file : result.artifact.files) {
    EXPECT_TRUE(bench().blobs.Has(file.digest)) << file.name;
  }
  const json summary = json::parse(result.artifact.summary);
  EXPECT_EQ(summary.at("effective_bits"), 2.0);
  EXPECT_EQ(result.build, "fake");
  EXPECT_GT(result.peak_host_bytes, 1 << 20);
  EXPECT_EQ(bench().recorder.started.size(), 1U);
  EXPECT_TRUE(AwaitProgress("quantize"));
  EXPECT_THAT(result.log_tail, HasSubstr("resumed after 0 blocks"));
  EXPECT_FALSE(fs::exists(scratch_ / ("cache/stages/" + assignment.stage.key.value())));
}

TEST_F(StageProcessTest, AChainPassesArtifactsFromStageToStageWithoutDownloads) {
  const json problem = {{"name", "p"}, {"canonical_solution", "    return 1\n"}};
  const Digest benchmark = bench().blobs.Add(problem.dump() + "\n");
  const Assignment quantize = Quantize();
  const StageSucceeded checkpoint = RunToSuccess(quantize);
  Assignment generate =
      Make(StageKind::kGenerate,
           {{"seed", 1}, {"sampling", {{"samples", 4}}}, {"benchmark", json::object()}});
  const std::string& quantized = quantize.stage.key.value();
  generate.stage.inputs = {Input("/model/dir", StageInput::Source::kArtifact, quantized),
                           Input("/benchmark/file", StageInput::Source::kBlob, benchmark.value())};
  generate.artifacts[quantized] = checkpoint.artifact;
  const StageSucceeded completions = RunToSuccess(generate);
  Assignment grade = Make(StageKind::kGrade,
                          {{"grading", {{"isolation", "none"}}}, {"benchmark", json::object()}});
  const std::string& generated = generate.stage.key.value();
  grade.stage.inputs = {
      Input("/completions/file", StageInput::Source::kArtifact, generated, "completions.jsonl"),
      Input("/benchmark/file", StageInput::Source::kBlob, benchmark.value())};
  grade.artifacts[generated] = completions.artifact;
  const json summary = json::parse(RunToSuccess(grade).artifact.summary);
  EXPECT_EQ(summary.at("total"), 4);
  EXPECT_EQ(bench().blobs.downloads, 2) << "calibration and benchmark, once each";
}

TEST_F(StageProcessTest, TheChildsOwnFailureKeepsItsClass) {
  const StageFailed failed = RunToFailure(Inspect({{"fail", "diverged"}, {"stderr_bytes", 100}}));
  EXPECT_EQ(failed.failure, FailureClass::kDiverged);
  EXPECT_EQ(failed.message, "told to fail");
  EXPECT_THAT(failed.log_tail, HasSubstr("xxx"));
}

TEST_F(StageProcessTest, ACrashIsABugThatNamesTheSignal) {
  const StageFailed failed = RunToFailure(Inspect({{"crash", true}}));
  EXPECT_EQ(failed.failure, FailureClass::kBug);
  EXPECT_THAT(failed.message, HasSubstr("Aborted"));
}

TEST_F(StageProcessTest, AnExitWithoutAWordIsABug) {
  for (const int code : {0, 9}) {
    const StageFailed failed = RunToFailure(Inspect({{"exit", code}}));
    EXPECT_EQ(failed.failure, FailureClass::kBug);
    EXPECT_THAT(failed.message, HasSubstr("code " + std::to_string(code)));
  }
}

TEST_F(StageProcessTest, ASigkillThatTheKernelDidNotSendIsNoFaultOfTheStage) {
  const StageFailed failed = RunToFailure(Inspect({{"kill", SIGKILL}}));
  const bool is_counted =
      ScratchFolder::Read("/proc/vmstat").find("oom_kill ") != std::string::npos;
  EXPECT_EQ(failed.failure, is_counted ? FailureClass::kPreempted : FailureClass::kOomHost);
}

TEST_F(StageProcessTest, AToolThatCannotBeStartedIsABugThatNamesIt) {
  scratch_.Write("cache/not-a-program", "");
  Bench& b = bench();
  Workshop workshop{.cache = *b.cache,
                    .models = b.models,
                    .children = b.children,
                    .transfers = b.transfers,
                    .engine = scratch_ / "cache/not-a-program",
                    .grader = ""};
  b.runner = std::make_unique<ProcessRunner>(
      workshop, [&b](std::function<void()> call) { b.mailbox.Post(std::move(call)); }, 0);
  b.runner->SetListener(&b.recorder);
  EXPECT_THAT(RunToFailure(Inspect()).message, HasSubstr("not-a-program: Permission denied"));
  EXPECT_THAT(RunToFailure(Make(StageKind::kGrade, json::object())).message,
              HasSubstr("no grader"));
}

TEST_F(StageProcessTest, CancellingLeavesNoProcessNotEvenOneThatHides) {
  const Assignment assignment = Inspect(
      {{"ignore_term", true}, {"orphan", scratch_ / "orphan"}, {"spam", 1}, {"hang", true}});
  bench().runner->Start(assignment);
  ASSERT_TRUE(AwaitProgress("spam"));
  const pid_t orphan = std::stoi(ScratchFolder::Read(scratch_ / "orphan"));
  EXPECT_TRUE(IsAlive(orphan));
  bench().runner->Cancel(assignment.fence, "test");
  ASSERT_TRUE(bench().mailbox.RunUntil([&] { return !bench().recorder.ended.empty(); }));
  EXPECT_TRUE(std::holds_alternative<StageDropped>(bench().recorder.ended[0]));
  EXPECT_FALSE(IsAlive(orphan));
}

TEST_F(StageProcessTest, AQuantizationThatRunsAgainHereResumes) {
  const Assignment first = Quantize({{"wait_for", scratch_ / "never"}});
  bench().runner->Start(first);
  ASSERT_TRUE(AwaitProgress("quantize"));
  bench().runner->Cancel(first.fence, "test");
  ASSERT_TRUE(bench().mailbox.RunUntil([&] { return !bench().recorder.ended.empty(); }));
  const StageSucceeded result = RunToSuccess(Quantize(json::object(), 2));
  EXPECT_EQ(json::parse(result.artifact.summary).at("resumed_blocks"), 1);
  EXPECT_EQ(result.artifact.files.size(), 6U);
}

TEST_F(StageProcessTest, OtherKindsBeginAnew) {
  RunToFailure(Inspect({{"link", "/etc/passwd"}, {"fail", "bug"}}));
  RunToSuccess(Inspect());
}

TEST_F(StageProcessTest, WhatIsNoEventEndsTheStage) {
  for (const json& fake : {json{{"garbage", "Traceback (most recent call last)"}, {"hang", true}},
                           json{{"long_line", kEventLineBytesMax + 1}, {"hang", true}},
                           json{{"checkpoint", "../../escaped"}, {"hang", true}}}) {
    const StageFailed failed = RunToFailure(Inspect(fake));
    EXPECT_EQ(failed.failure, FailureClass::kBug);
    EXPECT_LT(failed.message.size(), 2 * kFailureMessageBytesMax);
    EXPECT_THAT(failed.message, HasSubstr("the child wrote"));
  }
}

TEST_F(StageProcessTest, ALinkInTheOutputIsNotPublished) {
  const StageFailed failed = RunToFailure(Inspect({{"link", "/etc/passwd"}}));
  EXPECT_EQ(failed.failure, FailureClass::kBug);
  EXPECT_THAT(failed.message, HasSubstr("link, which is not a regular file"));
}

TEST_F(StageProcessTest, AChildWithoutEventsHangs) {
  Bench::hang_after = absl::Milliseconds(200);
  const StageFailed failed = RunToFailure(Inspect({{"hang", true}, {"ignore_term", true}}));
  EXPECT_EQ(failed.failure, FailureClass::kHang);
}

TEST_F(StageProcessTest, ATalkativeChildFillsNeitherDiskNorMessage) {
  const Assignment assignment = Inspect({{"stderr_bytes", 3 * kStageLogBytesMax / 2}});
  const StageSucceeded result = RunToSuccess(assignment);
  EXPECT_LE(static_cast<std::int64_t>(result.log_tail.size()), kLogTailBytes);
  const fs::path log = fs::directory_iterator(scratch_ / "cache/logs")->path();
  EXPECT_LE(static_cast<std::int64_t>(fs::file_size(log)), kStageLogBytesMax + 2 * kLogTailBytes);
  EXPECT_GE(static_cast<std::int64_t>(fs::file_size(log)), kStageLogBytesMax);
}

TEST_F(StageProcessTest, ManyEventsDoNotStopTheStage) {
  RunToSuccess(Inspect({{"spam", 20000}}));
  EXPECT_GE(bench().recorder.progress.size(), 20000U);
}

TEST_F(StageProcessTest, AModelThatChangedSinceThePlanIsBadInput) {
  const StageSucceeded inspected = RunToSuccess(Inspect());
  ASSERT_EQ(inspected.artifact.files.at(0).name, "manifest.json");
  const std::string digest = bench().models.KnownDigest(scratch_ / "models/tiny");
  ASSERT_EQ(digest.size(), 64U);
  Assignment quantize = Quantize();
  quantize.stage.inputs[0].digest = digest;
  RunToSuccess(quantize);
  scratch_.Write("models/tiny/model.safetensors", "other weights");
  const StageFailed failed = RunToFailure(quantize);
  EXPECT_EQ(failed.failure, FailureClass::kBadInput);
  EXPECT_THAT(failed.message, HasSubstr("model tiny at " + (scratch_ / "models/tiny")));
  EXPECT_THAT(failed.message, HasSubstr("expected digest " + digest));
  EXPECT_THAT(failed.message,
              HasSubstr("found " + bench().models.KnownDigest(scratch_ / "models/tiny")));
}

TEST_F(StageProcessTest, AnIdentityThatIsNotKnownHereIsHashedFirst) {
  RunToSuccess(Inspect());
  const std::string digest = bench().models.KnownDigest(scratch_ / "models/tiny");
  fs::last_write_time(scratch_ / "models/tiny/config.json",
                      fs::file_time_type::clock::now() + std::chrono::seconds(9));
  ASSERT_EQ(bench().models.KnownDigest(scratch_ / "models/tiny"), "");
  Assignment quantize = Quantize();
  quantize.stage.inputs[0].digest = digest;
  EXPECT_THAT(RunToSuccess(quantize).log_tail, HasSubstr("identity is not known here"));
  EXPECT_EQ(bench().models.KnownDigest(scratch_ / "models/tiny"), digest);
}

TEST_F(StageProcessTest, InputsThatAreNotThereAreBadInput) {
  Assignment no_model = Inspect();
  no_model.stage.inputs[0].value = "absent";
  EXPECT_EQ(RunToFailure(no_model).failure, FailureClass::kBadInput);
  Assignment no_blob = Quantize();
  no_blob.stage.inputs[1].value = std::string(64, '0');
  const StageFailed failed = RunToFailure(no_blob);
  EXPECT_EQ(failed.failure, FailureClass::kBadInput);
  EXPECT_THAT(failed.message, HasSubstr("/calibration/parts/0/file"));
}

TEST_F(StageProcessTest, ACoordinatorThatIsAwayDelaysTheResultOnly) {
  bench().blobs.away = 3;
  RunToSuccess(Quantize());
}

TEST_F(StageProcessTest, AStageThatNeedsMoreGpusThanThereAreFails) {
  Assignment assignment = Inspect();
  assignment.stage.needs.gpus = 2;
  EXPECT_THAT(RunToFailure(assignment).message, HasSubstr("needs 2 GPUs"));
}

TEST_F(StageProcessTest, StagesWithAGpuRunOneAfterTheOther) {
  Assignment first = Inspect({{"spam", 1}, {"wait_for", scratch_ / "gate"}});
  first.stage.needs.gpus = 1;
  Assignment second = Quantize();
  second.stage.needs.gpus = 1;
  bench().runner->Start(first);
  ASSERT_TRUE(AwaitProgress("spam"));
  bench().runner->Start(second);
  scratch_.Write("gate", "");
  ASSERT_TRUE(bench().mailbox.RunUntil([&] { return bench().recorder.ended.size() == 2; }));
  EXPECT_EQ(std::get<StageSucceeded>(bench().recorder.ended[0]).fence, first.fence);
}

TEST_F(StageProcessTest, AKilledAgentLeavesNoChildAndTheNextOneFindsWhatHid) {
  const std::string orphan_file = scratch_ / "orphan";
  const pid_t agent = ::fork();
  if (agent == 0) {
    // A process of its own plays the agent; it starts a stage and waits to be killed.
    Bench bench(scratch_);
    bench.runner->Start(Inspect({{"orphan", orphan_file}, {"spam", 1}, {"hang", true}}));
    bench.mailbox.RunUntil([&] { return !bench.recorder.progress.empty(); });
    scratch_.Write("ready", "");
    bench.mailbox.RunUntil([] { return false; });
    ::_exit(0);
  }
  ASSERT_TRUE(Await([&] { return fs::exists(scratch_ / "ready"); }));
  const pid_t orphan = std::stoi(ScratchFolder::Read(orphan_file));
  const pid_t engine = std::stoi(ScratchFolder::Read(orphan_file + ".parent"));
  ASSERT_TRUE(IsAlive(engine));
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  EXPECT_TRUE(Await([&] { return !IsAlive(engine); }));
  EXPECT_TRUE(IsAlive(orphan)) << "the grandchild is what the next agent has to find";
  const auto cache = Cache::Open(scratch_ / "cache", 1 << 20);
  ASSERT_TRUE(cache.ok()) << "a dead agent does not hold the folder: " << cache.status();
  EXPECT_EQ(Children((*cache)->mark()).KillLeftovers(), 1);
  EXPECT_TRUE(Await([&] { return !IsAlive(orphan); }));
}

}  // namespace
}  // namespace bitsweep
