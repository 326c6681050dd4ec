#include "worker/engine/run/stage_spec.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/run/dispatch.h"
#include "worker/engine/run/failure.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kExamples = "../proto/schemas/examples/";

// A golden spec with an output folder that exists here.
nlohmann::json Example(const std::string& kind, const TestFolder& folder) {
  nlohmann::json spec = nlohmann::json::parse(ReadText(kExamples + "spec_" + kind + ".json"));
  spec["output"]["dir"] = folder.path();
  return spec;
}

TEST(StageSpecTest, TheGoldenSpecsParse) {
  const TestFolder folder;
  for (const char* kind : {"inspect", "quantize", "finetune", "generate"}) {
    const nlohmann::json golden = Example(kind, folder);
    const StageSpec spec = ParseStageSpec(golden, "golden");
    EXPECT_EQ(spec.kind, kind);
    EXPECT_EQ(spec.stage, golden["stage"].get<std::string>());
    EXPECT_EQ(spec.attempt, 1);
    EXPECT_EQ(spec.threads, 2);
    EXPECT_EQ(spec.numerics.device, "cpu");
    EXPECT_EQ(spec.numerics.dtype, "f32");
    EXPECT_EQ(spec.output_dir, folder.path());
    EXPECT_EQ(spec.members["model"], golden["model"]);
    EXPECT_FALSE(spec.members.contains("numerics"));
  }
  EXPECT_EQ(ParseStageSpec(Example("quantize", folder), "golden").seed, 12345678901234567890ULL);
}

TEST(StageSpecTest, WrongSpecsAreRefusedWithTheirPointer) {
  const TestFolder folder;
  const auto refused = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json spec = Example("inspect", folder);
    spec[nlohmann::json::json_pointer(pointer)] = value;
    return BadInputOf([&] { ParseStageSpec(spec, "spec.json"); });
  };
  EXPECT_THAT(refused("/protocol", 2),
              AllOf(HasSubstr("spec.json: /protocol"), HasSubstr("speaks 1")));
  EXPECT_THAT(refused("/semantics", 99), AllOf(HasSubstr("/semantics"), HasSubstr("99")));
  EXPECT_THAT(refused("/kind", "train"), AllOf(HasSubstr("/kind"), HasSubstr("train")));
  EXPECT_THAT(refused("/kind", "grade"), HasSubstr("bitsweep-grade"));
  EXPECT_THAT(refused("/numerics/device", "tpu"), HasSubstr("/numerics/device"));
  EXPECT_THAT(refused("/numerics/dtyp", "f32"), HasSubstr("/numerics/dtyp: unknown"));
  EXPECT_THAT(refused("/numerics/devices", 0), HasSubstr("/numerics/devices"));
  EXPECT_THAT(refused("/threads", 0), HasSubstr("/threads"));
  EXPECT_THAT(refused("/seed", -1), HasSubstr("/seed"));
  EXPECT_THAT(refused("/output/dir", "relative"), HasSubstr("/output/dir"));
  EXPECT_THAT(refused("/output/dir", "/no/such/folder"), HasSubstr("/output/dir"));
  EXPECT_THAT(BadInputOf([] { ParseStageSpec(nlohmann::json::array(), "spec.json"); }),
              HasSubstr("want an object"));
}

TEST(StageSpecTest, AHandVerbsSpecIsTheOneThatRunTakes) {
  const TestFolder folder;
  StageRequest request;
  request.kind = "inspect";
  request.seed = 5;
  request.members = {{"model", {{"dir", "/m"}}}};
  CommonOptions options;
  options.numerics.dtype = "bf16";
  options.numerics.devices = 2;
  const StageSpec spec = ParseStageSpec(BuildSpec(request, folder.path(), options), "command line");
  EXPECT_EQ(spec.members, request.members);
  EXPECT_EQ(spec.seed, 5U);
  EXPECT_EQ(spec.numerics.dtype, "bf16");
  EXPECT_EQ(spec.numerics.devices, 2);
}

TEST(StrictObjectTest, UnknownMembersAndWrongTypesAreNamed) {
  const nlohmann::json document = {{"a", {{"n", 3}, {"s", "x"}, {"typo", 1}}}};
  StrictObject root(document, "file");
  StrictObject a = root.Object("a");
  EXPECT_EQ(a.Int("n", 0, 5), 3);
  EXPECT_THAT(BadInputOf([&] { a.Int("n", 4, 5); }), HasSubstr("file: /a/n: found 3"));
  EXPECT_THAT(BadInputOf([&] { a.Int("s", 0, 5); }), HasSubstr("/a/s"));
  EXPECT_THAT(BadInputOf([&] { a.String("z"); }), HasSubstr("/a/z: missing"));
  EXPECT_EQ(a.IntOr("z", 0, 9, 7), 7);
  EXPECT_THAT(BadInputOf([&] { a.Finish(); }),
              AllOf(HasSubstr("/a/typo: unknown"), HasSubstr("n, s")));
  EXPECT_THAT(BadInputOf([&] { a.Choice("s", {"p", "q"}); }), HasSubstr("want one of p, q"));
}

TEST(FailureTest, ExceptionsGetTheirClass) {
  const auto classify = [](auto exception) {
    return ClassifyException(std::make_exception_ptr(exception)).failure;
  };
  EXPECT_EQ(classify(EngineError(FailureClass::kDiverged, "x")), FailureClass::kDiverged);
  EXPECT_EQ(classify(std::bad_alloc()), FailureClass::kOomHost);
  EXPECT_EQ(classify(std::runtime_error("x")), FailureClass::kBug);
  EXPECT_EQ(classify(std::filesystem::filesystem_error(
                "x", std::make_error_code(std::errc::no_space_on_device))),
            FailureClass::kDiskFull);
}

}  // namespace
}  // namespace bitsweep::engine
