#include "worker/runtime/machine.h"

#include <gtest/gtest.h>

namespace bitsweep {
namespace {

TEST(MachineTest, GpusAreReadFromTheTable) {
  const std::vector<GpuOffer> gpus =
      ParseGpus("NVIDIA H100 80GB HBM3, 81559, 9.0\nNVIDIA T4, 15360, 7.5\n");
  ASSERT_EQ(gpus.size(), 2U);
  EXPECT_EQ(gpus[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(gpus[0].memory_bytes, std::int64_t{81559} << 20);
  EXPECT_EQ(gpus[1].compute_capability, "7.5");
  EXPECT_TRUE(ParseGpus("NVIDIA-SMI has failed because it couldn't communicate\n").empty());
  EXPECT_TRUE(ParseGpus("").empty());
}

TEST(MachineTest, ThisMachineHasCoresAndMemory) {
  EXPECT_GE(Cores(), 1);
  EXPECT_GT(HostBytes(), std::int64_t{1} << 28);
}

}  // namespace
}  // namespace bitsweep
