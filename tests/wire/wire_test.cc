// Round trips of every session message through its serialised form, and what FromProto refuses.
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/wire/session.h"
#include "proto/wire/stage.h"

namespace bitsweep::wire {
namespace {

using ::testing::HasSubstr;

std::string Hex(char digit) {
  return std::string(64, digit);
}

Fence SomeFence() {
  return {.stage = StageKey(Hex('a')), .attempt = 2, .lease = LeaseId(77)};
}

ArtifactManifest SomeManifest() {
  return {.files = {{.name = "block-0.safetensors", .size = 12, .digest = Digest(Hex('1'))},
                    {.name = "sub/config.json", .size = 0, .digest = Digest(Hex('2'))}},
          .summary = R"({"weights_bytes":12})"};
}

Assignment SomeAssignment() {
  using Source = StageInput::Source;
  return {
      .fence = SomeFence(),
      .stage = {.key = StageKey(Hex('a')),
                .kind = StageKind::kGenerate,
                .label = "generate x",
                .parameters = R"({"p":1})",
                .spec = R"({"kind":"generate"})",
                .upstream = {StageKey(Hex('b'))},
                .inputs = {{.pointer = "/model/dir",
                            .source = Source::kArtifact,
                            .value = Hex('b'),
                            .file = "",
                            .digest = ""},
                           {.pointer = "/benchmark/file",
                            .source = Source::kBlob,
                            .value = Hex('c'),
                            .file = "",
                            .digest = ""},
                           {.pointer = "/teacher/dir",
                            .source = Source::kModelPath,
                            .value = "m/7b",
                            .file = "",
                            .digest = Hex('d')}},
                .needs = {.semantics = 3,
                          .device = "cuda",
                          .gpus = 1,
                          .gpu_bytes = 2,
                          .host_bytes = 3,
                          .cores = 4,
                          .disk_bytes = 5,
                          .isolation = "none",
                          .model_paths = {"m/7b"}},
                .cost_estimate = 2.5},
      .artifacts = {{Hex('b'), SomeManifest()}},
      .cores = 2,
  };
}

WorkerOffer SomeOffer() {
  return {.name = "w",
          .version = "0.1",
          .build = "abc",
          .stages = {StageKind::kInspect, StageKind::kGrade},
          .semantics = {{"grade", 4}, {"inspect", 1}},
          .gpus = {{.name = "H100", .memory_bytes = 80, .compute_capability = "9.0"}},
          .host_bytes = 1024,
          .cores = 8,
          .slots = 2,
          .isolation = "bubblewrap",
          .labels = {{"zone", "a"}},
          .models = {"m/7b"}};
}

template <typename Message>
Message Reparse(const Message& message) {
  Message out;
  EXPECT_TRUE(out.ParseFromString(message.SerializeAsString()));
  return out;
}

/// What `value` becomes after a trip over the wire, back as bytes: equal bytes mean that no member
/// was lost.
void ExpectRoundTrip(const WorkerMessage& value) {
  const v1::WorkerMessage wire = ToProto(value);
  absl::StatusOr<WorkerMessage> back = FromProto(Reparse(wire));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->index(), value.index());
  EXPECT_EQ(ToProto(*back).DebugString(), wire.DebugString());
}

void ExpectRoundTrip(const CoordinatorMessage& value) {
  const v1::CoordinatorMessage wire = ToProto(value);
  absl::StatusOr<std::vector<CoordinatorMessage>> back = FromProto(Reparse(wire));
  ASSERT_TRUE(back.ok()) << back.status();
  ASSERT_EQ(back->size(), 1U);
  EXPECT_EQ(back->front().index(), value.index());
  EXPECT_EQ(ToProto(back->front()).DebugString(), wire.DebugString());
}

TEST(WireTest, EveryKindAndFailureClassSurvives) {
  for (const StageKind kind : kStageKinds) {
    EXPECT_EQ(FromProto(ToProto(kind)).value(), kind);
  }
  for (const FailureClass failure : kFailureClasses) {
    EXPECT_EQ(FromProto(ToProto(failure)).value(), failure);
  }
  EXPECT_FALSE(FromProto(v1::STAGE_KIND_UNSPECIFIED).ok());
  EXPECT_FALSE(FromProto(v1::FAILURE_CLASS_UNSPECIFIED).ok());
  EXPECT_FALSE(FromProto(static_cast<v1::StageKind>(99)).ok());
}

TEST(WireTest, EveryWorkerMessageSurvives) {
  ExpectRoundTrip(WorkerMessage(StageStarted{SomeFence()}));
  ExpectRoundTrip(WorkerMessage(StageProgress{SomeFence(), "block", "blocks", 3, 9}));
  ExpectRoundTrip(
      WorkerMessage(StageSucceeded{SomeFence(), SomeManifest(), 5, 6, "build", "tail"}));
  ExpectRoundTrip(WorkerMessage(StageFailed{SomeFence(), FailureClass::kHang, "why", "tail"}));
  ExpectRoundTrip(WorkerMessage(Heartbeat{{SomeFence()}}));
  ExpectRoundTrip(WorkerMessage(Goodbye{"stopped"}));
}

TEST(WireTest, EveryCoordinatorMessageSurvives) {
  ExpectRoundTrip(CoordinatorMessage(Registered{WorkerId(4), absl::Seconds(2), {SomeFence()}}));
  ExpectRoundTrip(CoordinatorMessage(SomeAssignment()));
  ExpectRoundTrip(CoordinatorMessage(CancelAttempt{SomeFence(), "sweep cancelled"}));
  ExpectRoundTrip(CoordinatorMessage(ResultAcknowledged{SomeFence(), true}));
  ExpectRoundTrip(CoordinatorMessage(Drain{"maintenance"}));
}

TEST(WireTest, AssignmentKeepsEveryMember) {
  const Assignment want = SomeAssignment();
  const absl::StatusOr<Assignment> got = FromProto(Reparse(ToProto(want)));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->fence, want.fence);
  EXPECT_EQ(got->stage.key, want.stage.key);
  EXPECT_EQ(got->stage.kind, want.stage.kind);
  EXPECT_EQ(got->stage.label, want.stage.label);
  EXPECT_EQ(got->stage.parameters, want.stage.parameters);
  EXPECT_EQ(got->stage.spec, want.stage.spec);
  EXPECT_EQ(got->stage.upstream, want.stage.upstream);
  EXPECT_EQ(got->stage.inputs, want.stage.inputs);
  EXPECT_EQ(got->stage.needs, want.stage.needs);
  EXPECT_EQ(got->stage.cost_estimate, want.stage.cost_estimate);
  EXPECT_EQ(got->artifacts.at(Hex('b')).files, want.artifacts.at(Hex('b')).files);
  EXPECT_EQ(got->artifacts.at(Hex('b')).summary, want.artifacts.at(Hex('b')).summary);
  EXPECT_EQ(got->cores, want.cores);
}

TEST(WireTest, RegistrationSurvivesAndIsRefusedInsideASession) {
  const Registration want{.offer = SomeOffer(), .held = {SomeFence()}};
  const v1::WorkerMessage wire = Reparse(ToProto(want));
  const absl::StatusOr<Registration> got = FromProto(wire.register_());
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->held, want.held);
  EXPECT_EQ(got->offer.stages, want.offer.stages);
  EXPECT_EQ(got->offer.semantics, want.offer.semantics);
  EXPECT_EQ(got->offer.labels, want.offer.labels);
  EXPECT_EQ(got->offer.models, want.offer.models);
  EXPECT_EQ(Reparse(ToProto(*got)).DebugString(), wire.DebugString());
  EXPECT_EQ(FromProto(wire).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(WireTest, LogsThatAreNotUtf8StillArrive) {
  const WorkerMessage failed =
      StageFailed{SomeFence(), FailureClass::kBug, "bad \xFF", "tail \xC3"};
  const absl::StatusOr<WorkerMessage> back = FromProto(Reparse(ToProto(failed)));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(std::get<StageFailed>(*back).message, "bad \xEF\xBF\xBD");
  EXPECT_EQ(std::get<StageFailed>(*back).log_tail, "tail \xEF\xBF\xBD");
}

TEST(WireTest, EmptyMessagesAreRefused) {
  EXPECT_FALSE(FromProto(v1::WorkerMessage()).ok());
  EXPECT_FALSE(FromProto(v1::CoordinatorMessage()).ok());
  EXPECT_FALSE(FromProto(v1::Fence()).ok());
}

struct Refusal {
  const char* what;
  std::function<void(v1::Assignment&)> spoil;
  const char* message;
};

class WireRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(WireRefusalTest, NamesTheMember) {
  v1::Assignment wire = ToProto(SomeAssignment());
  GetParam().spoil(wire);
  const absl::Status status = FromProto(wire).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    WireRefusalTest,
    ::testing::Values(
        Refusal{"attempt", [](auto& a) { a.mutable_fence()->set_attempt(0); }, "fence.attempt"},
        Refusal{"lease", [](auto& a) { a.mutable_fence()->set_lease(0); }, "fence.lease"},
        Refusal{"fence",
                [](auto& a) { a.mutable_fence()->set_stage(Hex('b')); },
                "the fence names stage"},
        Refusal{"key", [](auto& a) { a.mutable_stage()->set_key("short"); }, "stage key"},
        Refusal{"kind",
                [](auto& a) { a.mutable_stage()->set_kind(v1::STAGE_KIND_UNSPECIFIED); },
                "stage kind"},
        Refusal{"spec", [](auto& a) { a.mutable_stage()->set_spec_json("[1]"); }, "stage spec"},
        Refusal{"spec2", [](auto& a) { a.mutable_stage()->set_spec_json("{"); }, "stage spec"},
        Refusal{"parameters",
                [](auto& a) { a.mutable_stage()->set_parameters_json(""); },
                "stage parameters"},
        Refusal{
            "upstream", [](auto& a) { a.mutable_stage()->set_upstream(0, "x"); }, "stage upstream"},
        Refusal{
            "notupstream", [](auto& a) { a.mutable_stage()->clear_upstream(); }, "is not upstream"},
        Refusal{"pointer",
                [](auto& a) { a.mutable_stage()->mutable_inputs(0)->set_pointer("dir"); },
                "pointer"},
        Refusal{"source",
                [](auto& a) {
                  a.mutable_stage()->mutable_inputs(0)->set_source(
                      v1::StageInput::SOURCE_UNSPECIFIED);
                },
                "input source"},
        Refusal{"blob",
                [](auto& a) { a.mutable_stage()->mutable_inputs(1)->set_value("q"); },
                "input blob"},
        Refusal{"model",
                [](auto& a) { a.mutable_stage()->mutable_inputs(2)->set_value("../m"); },
                "model path"},
        Refusal{"digest",
                [](auto& a) { a.mutable_stage()->mutable_inputs(2)->set_digest("q"); },
                "input digest"},
        Refusal{"artifactfile",
                [](auto& a) { a.mutable_stage()->mutable_inputs(0)->set_file("/x"); },
                "artifact file"},
        Refusal{"device",
                [](auto& a) { a.mutable_stage()->mutable_needs()->set_device("tpu"); },
                "needs.device"},
        Refusal{"needs",
                [](auto& a) { a.mutable_stage()->mutable_needs()->set_gpu_bytes(-1); },
                "needs.gpu_bytes"},
        Refusal{"modelpath",
                [](auto& a) { a.mutable_stage()->mutable_needs()->set_model_paths(0, "/m"); },
                "model_paths"},
        Refusal{"cores", [](auto& a) { a.set_cores(0); }, "assignment.cores"},
        Refusal{"manifest", [](auto& a) { a.clear_artifacts(); }, "no manifest"},
        Refusal{
            "filename",
            [](auto& a) { (*a.mutable_artifacts())[Hex('b')].mutable_files(0)->set_name("../x"); },
            "artifact file"},
        Refusal{"twice",
                [](auto& a) {
                  (*a.mutable_artifacts())[Hex('b')].mutable_files(0)->set_name("sub/config.json");
                },
                "appears twice"},
        Refusal{"size",
                [](auto& a) { (*a.mutable_artifacts())[Hex('b')].mutable_files(0)->set_size(-1); },
                "size"},
        Refusal{
            "sha",
            [](auto& a) { (*a.mutable_artifacts())[Hex('b')].mutable_files(0)->set_sha256("F"); },
            "sha256"},
        Refusal{"summary",
                [](auto& a) { (*a.mutable_artifacts())[Hex('b')].set_summary_json("3"); },
                "summary"}),
    [](const auto& param) { return std::string(param.param.what); });

}  // namespace
}  // namespace bitsweep::wire
