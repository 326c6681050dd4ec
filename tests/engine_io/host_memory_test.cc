// What memory is available is read from files; folders stand for machines here.
#include "worker/engine/host_memory.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

class HostMemoryTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_.File(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::int64_t Available() const { return AvailableHostMemory(root_.File("")); }

  TestFolder root_;
};

TEST_F(HostMemoryTest, ThisMachineHasSome) {
  EXPECT_GT(AvailableHostMemory(), 1 << 20);
}

TEST_F(HostMemoryTest, WithoutMeminfoThereIsNone) {
  EXPECT_EQ(Available(), 0);
}

TEST_F(HostMemoryTest, TheTightestControlGroupDecidesAndItsPageCacheIsFree) {
  Write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\nHugePages_Total: 0\n");
  EXPECT_EQ(Available(), 8000 * 1024);
  Write("proc/self/cgroup", "0::/batch/job\n");
  EXPECT_EQ(Available(), 8000 * 1024) << "groups without limits";
  Write("sys/fs/cgroup/batch/job/memory.max", "max\n");
  Write("sys/fs/cgroup/batch/job/memory.current", "700000\n");
  EXPECT_EQ(Available(), 8000 * 1024);
  Write("sys/fs/cgroup/batch/memory.max", "1000000\n");
  Write("sys/fs/cgroup/batch/memory.current", "800000\n");
  Write("sys/fs/cgroup/batch/memory.stat", "anon 600000\ninactive_file 50000\n");
  EXPECT_EQ(Available(), 250000);
  Write("sys/fs/cgroup/batch/job/memory.max", "710000\n");
  EXPECT_EQ(Available(), 10000);
  Write("sys/fs/cgroup/batch/job/memory.current", "720000\n");
  EXPECT_EQ(Available(), 0) << "above its limit";
}

TEST_F(HostMemoryTest, TheFirstVersionsMemoryControllerCounts) {
  Write("proc/meminfo", "MemAvailable: 8000 kB\n");
  Write("proc/self/cgroup", "7:cpu,cpuacct:/other\n5:memory:/slurm/job\n1:name=systemd:/x\n");
  Write("sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes", "500000\n");
  Write("sys/fs/cgroup/memory/slurm/job/memory.usage_in_bytes", "100000\n");
  Write("sys/fs/cgroup/memory/slurm/job/memory.stat", "total_inactive_file 5000\n");
  EXPECT_EQ(Available(), 405000);
}

}  // namespace
}  // namespace bitsweep::engine
