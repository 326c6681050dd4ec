#include "worker/engine/checkpoint/safetensors.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A file of a header and `data_bytes` bytes.
std::string FileText(const std::string& header, std::size_t data_bytes) {
  std::string text;
  for (int i = 0; i < 8; ++i) {
    text.push_back(static_cast<char>(header.size() >> (8 * i)));
  }
  return text + header + std::string(data_bytes, '\1');
}

std::string OpenFails(const std::string& text) {
  const TestFolder folder;
  const std::string path = folder.Write("x.safetensors", text);
  return BadInputOf([&] { SafetensorsFile::Open(path); });
}

TEST(SafetensorsTest, WrittenTensorsReadBackWithDtypesShapesAndMetadata) {
  const TestFolder folder;
  const std::string path = folder.File("a.safetensors");
  const at::Tensor half = at::randn({3, 5}).to(at::kHalf);
  const at::Tensor codes = at::arange(-4, 3, at::kChar);
  const at::Tensor wide = at::arange(6, at::kLong).reshape({2, 3}).t();  // Not contiguous.
  const at::Tensor none = at::empty({0, 4});
  WriteSafetensors(path, {{"h", half}, {"c", codes}, {"w", wide}, {"n", none}}, {{"k", "v"}});
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file->metadata().at("k"), "v");
  EXPECT_EQ(file->entries().size(), 4U);
  EXPECT_EQ(file->entries().at("c").dtype, "I8");
  EXPECT_TRUE(at::equal(file->Get("h"), half));
  EXPECT_TRUE(at::equal(file->Get("c"), codes));
  EXPECT_TRUE(at::equal(file->Get("w"), wide));
  EXPECT_EQ(file->Get("n").sizes(), none.sizes());
  EXPECT_FALSE(std::filesystem::exists(path + ".part." + std::to_string(::getpid())));
}

TEST(SafetensorsTest, ATensorOutlivesItsFileObject) {
  const TestFolder folder;
  WriteSafetensors(folder.File("a.safetensors"), {{"x", at::arange(1000, at::kFloat)}});
  at::Tensor tensor;
  { tensor = SafetensorsFile::Open(folder.File("a.safetensors"))->Get("x"); }
  EXPECT_EQ(tensor[999].item<float>(), 999.0F);
}

TEST(SafetensorsTest, AMisalignedTensorIsReadAllTheSame) {
  const TestFolder folder;
  const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("x":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  const std::string path = folder.Write("x.safetensors", FileText(header, 9));
  EXPECT_EQ(SafetensorsFile::Open(path)->Get("x").numel(), 2);
}

TEST(SafetensorsTest, TruncationIsNamedWithBothByteCounts) {
  const TestFolder folder;
  const std::string text = ReadText(kModels + "sparrow-1m/model.safetensors");
  const std::string path = folder.Write("model.safetensors", text.substr(0, 1'000'000));
  EXPECT_THAT(BadInputOf([&] { SafetensorsFile::Open(path); }),
              AllOf(HasSubstr(path),
                    HasSubstr("truncated"),
                    HasSubstr(std::to_string(text.size())),
                    HasSubstr("1000000")));
  // Cut inside the header, inside the length, and to nothing.
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{5}, std::size_t{0}}) {
    EXPECT_THAT(OpenFails(text.substr(0, bytes)),
                AllOf(HasSubstr("truncated"), HasSubstr(std::to_string(bytes))));
  }
}

TEST(SafetensorsTest, DamagedHeadersAreRefused) {
  EXPECT_THAT(OpenFails(std::string(16, '\xff')), HasSubstr("not a safetensors file?"));
  EXPECT_THAT(OpenFails(FileText("{\"x\": ", 0)), HasSubstr("bad header"));
  EXPECT_THAT(OpenFails(FileText("[]", 0)), HasSubstr("want a JSON object"));
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"F32","shape":[1]}})", 4)),
              AllOf(HasSubstr("'x'"), HasSubstr("exactly dtype, shape and data_offsets")));
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4)),
              HasSubstr("shape an array of sizes"));
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", 4)),
              HasSubstr("unknown dtype 'F4'"));
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                                 R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                                 0)),
              HasSubstr("listed twice"));
}

TEST(SafetensorsTest, OffsetsThatDoNotFitAreRefused) {
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4)),
              HasSubstr("need 8 bytes"));
  EXPECT_THAT(OpenFails(FileText(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4)),
              HasSubstr("do not fit"));
  EXPECT_THAT(
      OpenFails(FileText(
          R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0)),
      HasSubstr("overflows"));
  EXPECT_THAT(OpenFails(FileText(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                 R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                                 6)),
              HasSubstr("overlapping 'a'"));
  EXPECT_THAT(OpenFails(FileText(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})", 4)),
              HasSubstr("hole"));
  EXPECT_THAT(OpenFails(FileText(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 6)),
              HasSubstr("2 bytes follow the last tensor"));
}

TEST(SafetensorsTest, AnAbsentTensorIsNamedWithItsFile) {
  const TestFolder folder;
  const std::string path = folder.File("a.safetensors");
  WriteSafetensors(path, {{"x", at::zeros({1})}});
  EXPECT_THAT(BadInputOf([&] { SafetensorsFile::Open(path)->Get("y"); }),
              AllOf(HasSubstr(path), HasSubstr("'y'")));
}

TEST(SafetensorsTest, AFailedWriteLeavesNothingAndHasItsClass) {
  const TestFolder folder;
  EXPECT_THROW(WriteSafetensors(folder.File("no/such/folder.safetensors"), {{"x", at::zeros({1})}}),
               EngineError);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  for (const int error_number : {ENOSPC, EDQUOT, EIO}) {
    try {
      ThrowWriteError("x", error_number);
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(),
                error_number == EIO ? FailureClass::kBug : FailureClass::kDiskFull);
    }
  }
}

}  // namespace
}  // namespace bitsweep::engine
