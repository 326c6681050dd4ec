// A model's quantization on GPUs, on one and on two. Labelled gpu; where they are missing it skips
// aloud.
#include <filesystem>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/tiny_model.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/device_list.h"
#include "worker/engine/quantize/block_replicas.h"
#include "worker/engine/quantize/model_quantizer.h"
#include "worker/kernels/device.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;

class ModelCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(BITSWEEP_CUDA)
    if (!at::hasCUDA() || !kernels::DeviceSupported()) {
      GTEST_SKIP() << "skipped: no GPU of compute capability 9.0";
    }
#else
    GTEST_SKIP() << "skipped: built without BITSWEEP_CUDA";
#endif
    devices_ = DevicesOf({.device = "cuda", .dtype = "f16", .devices = 0});
    root_ = ::testing::TempDir() + "quantize-cuda-" + std::to_string(getpid());
    options_.linear.codebooks = 2;
    options_.linear.codebook_bits = 6;
    options_.dtype = at::kHalf;
    // 7 and 2 chunks of 8 sequences.
    for (std::uint64_t i = 0; i < 66; ++i) {
      (i < 53 ? calibration_.train : calibration_.validation).push_back(RandomIds(512, 53, i));
    }
    calibration_.sequence_length = 512;
    calibration_.digest = CalibrationDigest(calibration_);
  }
  void TearDown() override {
    if (!root_.empty()) {
      fs::remove_all(root_);
    }
  }

  nlohmann::json Quantize(const std::string& name, std::size_t devices) {
    options_.devices.assign(devices_.begin(),
                            devices_.begin() + static_cast<std::ptrdiff_t>(devices));
    fs::create_directories(root_ + "/" + name);
    Events events(-1);
    return QuantizeModel(model_.Open(), calibration_, options_, root_ + "/" + name, events);
  }
  std::map<std::string, std::string> Weights(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(root_ + "/" + name)) {
      if (entry.path().extension() == ".safetensors") {
        files[entry.path().filename()] = ReadWholeFile(entry.path());
      }
    }
    return files;
  }

  // Heads of a size that every attention kernel takes.
  TinyModel model_{{.hidden = 256,
                    .intermediate = 384,
                    .layers = 3,
                    .heads = 2,
                    .kv_heads = 2,
                    .head_dim = 128,
                    .positions = 512}};
  std::vector<at::Device> devices_;
  std::string root_;
  CalibrationSet calibration_;
  ModelQuantizeOptions options_;
};

// The first of this file, and two GPUs before one: what libtorch settles in its first calls must not
// depend on how many threads make them.
TEST_F(ModelCudaTest, TwoGpusGiveTheFilesOfOne) {
  if (devices_.size() < 2) {
    GTEST_SKIP() << "skipped: one GPU";
  }
  EXPECT_EQ(Quantize("two", 2).at("devices"), 2);
  Quantize("one", 1);
  const auto want = Weights("one");
  EXPECT_EQ(Weights("two"), want);
  // Another number of GPUs goes on where one was cut off.
  fs::remove(root_ + "/one/model-block-00001.safetensors");
  EXPECT_EQ(Quantize("one", 2).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights("one"), want);
}

TEST_F(ModelCudaTest, AnInterruptedRunGivesTheSameFiles) {
  Quantize("one", 1);
  const auto want = Weights("one");
  ASSERT_EQ(want.size(), 4U);
  fs::remove(root_ + "/one/model-block-00001.safetensors");
  EXPECT_EQ(Quantize("one", 1).at("resumed_blocks"), 1);
  EXPECT_EQ(Weights("one"), want);
}

TEST_F(ModelCudaTest, StoredBlocksAreReadAsTheirLoadersDo) {
  Quantize("one", 1);
  const auto checkpoint = Checkpoint::Open(root_ + "/one");
  for (const std::string& name : ModelConfig::LinearNames()) {
    const QuantizedLinear linear = checkpoint->GetQuantized("model.layers.1." + name);
    EXPECT_TRUE(at::equal(DequantizeOn(linear, devices_[0]).cpu(), Dequantize(linear))) << name;
  }
}

TEST_F(ModelCudaTest, BlocksAreTunedOnTheFirstOfTwoGpus) {
  if (devices_.size() < 2) {
    GTEST_SKIP() << "skipped: one GPU";
  }
  options_.block_tuning = BlockTuneOptions{.learning_rate = 1e-3, .epochs = 2, .batch = 16};
  const nlohmann::json totals = Quantize("two", 2);
  EXPECT_EQ(totals.at("linear_count"), 21);
  EXPECT_TRUE(Checkpoint::Open(root_ + "/two")->config().aqlm.has_value());
}

}  // namespace
}  // namespace bitsweep::engine
