#include "worker/engine/quantize/device_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

TEST(DeviceRoomTest, A7BBlockWithTheStudysSetIsWhatWasMeasuredLessTheRest) {
  ModelConfig config;
  config.hidden_size = 4096;
  config.intermediate_size = 11008;
  config.num_heads = config.num_kv_heads = 32;
  config.head_dim = 128;
  const std::int64_t set = std::int64_t{1024} * 4096 * 4096 * 2;
  const DeviceShare whole = {.tokens = 1024 * 4096, .element = 2};
  const std::int64_t needed = QuantizeBytesAtLeast(config, whole);
  EXPECT_GT(needed, set + (std::int64_t{2} << 30));
  EXPECT_LT(needed, std::int64_t{43'207'491'584}) << "the peak of a run on an H200";
  DeviceShare share = whole;
  share.keeps_targets = true;
  EXPECT_EQ(QuantizeBytesAtLeast(config, share), needed + set);
  // Half the set, and nothing to gather at home; or the first of two devices that tunes blocks.
  share = {.tokens = 512 * 4096, .element = 2, .totals = {}};
  const std::int64_t totals = 8 * (3 * 4096 * 4096 + 11008 * 11008);
  EXPECT_EQ(QuantizeBytesAtLeast(config, share), needed - set / 2 - totals);
  share.gathered_tokens = 1024 * 4096;
  EXPECT_EQ(QuantizeBytesAtLeast(config, share), needed + set + set / 2 - totals);
}

TEST(DeviceRoomTest, WhatDoesNotFitIsRefusedWithAdvice) {
  EXPECT_NO_THROW(RequireRoomForQuantization(100, 100, "cuda:0"));
  try {
    RequireRoomForQuantization(std::int64_t{40} << 30, std::int64_t{24} << 30, "cuda:1");
    ADD_FAILURE() << "no exception";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kOomGpu);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("40960 MiB, and cuda:1 has 24576 MiB left"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("fewer or shorter sequences"));
  }
}

}  // namespace
}  // namespace bitsweep::engine
