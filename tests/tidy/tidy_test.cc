// The house rules that a machine can check: who may include whom, which room owns which library, lines of at most 100 columns,
// a README in every room, banned calls with what to use instead. Each failure names file, line and the allowed set.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = "..";  // Tests run in tests/.

/// What a room may include besides itself. Rooms are named by their folder; the arrows of the README point only this way.
const std::map<std::string, std::set<std::string>>& Arrows() {
  static const std::map<std::string, std::set<std::string>> kArrows = {
      {"proto/base", {}},
      {"proto/contract", {"proto/base"}},
      {"proto/wire", {"proto/base", "proto/contract", "proto/bitsweep"}},
      {"coordinator/study", {"proto/base", "proto/contract"}},
      {"coordinator/outcomes", {"proto/base", "proto/contract", "coordinator/study"}},
      {"coordinator/domain", {"proto/base", "proto/contract"}},
      {"coordinator/scheduler", {"proto/base", "proto/contract", "coordinator/domain"}},
      {"coordinator/store", {"proto/base", "proto/contract", "coordinator/domain", "coordinator/study"}},
      {"coordinator/artifacts", {"proto/base", "proto/contract"}},
      {"coordinator/metrics", {"proto/base", "proto/contract"}},
      {"coordinator/rpc",
       {"proto/base", "proto/contract", "proto/wire", "proto/bitsweep", "coordinator/domain", "coordinator/study"}},
      {"coordinator/web", {"proto/base", "proto/contract", "coordinator/study", "coordinator/metrics"}},
      {"coordinator/app",
       {"proto/base", "proto/contract", "proto/wire", "coordinator/study", "coordinator/outcomes", "coordinator/domain",
        "coordinator/scheduler", "coordinator/store", "coordinator/artifacts", "coordinator/metrics", "coordinator/rpc", "coordinator/web"}},
      {"worker/agent", {"proto/base", "proto/contract"}},
      {"worker/rpc", {"proto/base", "proto/contract", "proto/wire", "proto/bitsweep", "worker/agent"}},
      {"worker/runtime", {"proto/base", "proto/contract", "worker/agent"}},
      {"worker/metrics", {"proto/base", "proto/contract"}},
      {"worker/benchmark", {}},
      {"worker/kernels", {}},
      {"worker/engine", {"worker/kernels", "worker/benchmark"}},
      {"worker/grade", {"proto/base", "worker/benchmark"}},
      {"worker/app",
       {"proto/base", "proto/contract", "proto/wire", "worker/agent", "worker/rpc", "worker/runtime", "worker/metrics"}},
      {"cli",
       {"proto/base", "proto/contract", "proto/wire", "proto/bitsweep", "coordinator/study", "coordinator/outcomes"}},
  };
  return kArrows;
}

/// A third-party header prefix and the only rooms that may include it.
struct Ownership {
  std::string prefix;
  std::set<std::string> rooms;
};
const std::vector<Ownership>& Owners() {
  static const std::vector<Ownership> kOwners = {
      {"torch/", {"worker/engine"}},
      {"ATen/", {"worker/engine"}},
      {"c10/", {"worker/engine"}},
      {"pcre2", {"worker/engine"}},
      {"cuda", {"worker/kernels"}},
      {"sqlite3", {"coordinator/store"}},
      {"grpcpp/", {"coordinator/rpc", "worker/rpc", "cli"}},
      {"google/protobuf", {"proto/wire", "coordinator/rpc", "cli"}},
      {"prometheus/", {"coordinator/metrics", "worker/metrics"}},
      {"boost/beast", {"coordinator/web"}},
      {"boost/process", {"worker/runtime", "worker/grade"}},
      {"yaml-cpp", {"coordinator/study"}},
      {"seccomp", {"worker/grade"}},
      {"zstd", {"worker/grade"}},
      {"zlib", {"coordinator/outcomes"}},
      {"openssl", {"proto/base", "coordinator/artifacts"}},
      {"absl/",
       {"proto/base", "proto/contract", "proto/wire", "coordinator/study", "coordinator/outcomes", "coordinator/domain",
        "coordinator/scheduler", "coordinator/store", "coordinator/artifacts", "coordinator/metrics", "coordinator/rpc", "coordinator/web",
        "coordinator/app", "worker/agent", "worker/rpc", "worker/runtime", "worker/metrics", "worker/grade", "worker/app",
        "cli"}},
  };
  return kOwners;
}

/// A call that has a better replacement here, and the places where it is the replacement's own implementation.
struct Ban {
  std::regex pattern;
  std::string instead;
  std::set<std::string> allowed_rooms;
};
const std::vector<Ban>& Bans() {
  static const std::vector<Ban> kBans = {
      {std::regex(R"(\bsystem_clock::now\b)"), "bitsweep::Clock (proto/base/clock.h)",
       {"worker/engine", "worker/grade", "cli"}},  // gRPC deadlines are system_clock times.
      {std::regex(R"(\bsqlite3_exec\b)"), "a named statement of coordinator/store/queries.h", {"coordinator/store"}},
      {std::regex(R"((^|[^\w:.])s?rand\()"), "a counter-based or seeded generator", {}},
      {std::regex(R"(\bFIXME\b)"), "an issue, or the mending itself", {}},
      {std::regex(R"(\busing namespace std\b)"), "qualified names", {}},
  };
  return kBans;
}

struct SourceFile {
  std::string path;  // Relative to the root, '/'-separated.
  std::string room;
  std::vector<std::string> lines;
};

/// The room of a path: the longest entry of Arrows() that is a prefix folder; empty when none is.
std::string RoomOf(const std::string& path) {
  std::string best;
  for (const auto& [room, unused] : Arrows()) {
    if (path.rfind(room + "/", 0) == 0 && room.size() > best.size()) {
      best = room;
    }
  }
  return best;
}

std::vector<SourceFile> Sources(const std::vector<std::string>& tops) {
  std::vector<SourceFile> files;
  for (const std::string& top : tops) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc" && extension != ".cu")) {
        continue;
      }
      SourceFile file;
      file.path = fs::relative(entry.path(), kRoot).generic_string();
      file.room = RoomOf(file.path);
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) {
        file.lines.push_back(line);
      }
      files.push_back(std::move(file));
    }
  }
  return files;
}

const std::vector<SourceFile>& ProductSources() {
  static const std::vector<SourceFile> kFiles = Sources({"proto", "coordinator", "worker", "cli"});
  return kFiles;
}

std::string At(const SourceFile& file, std::size_t index) { return file.path + ":" + std::to_string(index + 1); }

TEST(TidyTest, EverySourceFileBelongsToARoom) {
  ASSERT_GT(ProductSources().size(), 50U) << "the walk found too few files: is the working directory tests/?";
  for (const SourceFile& file : ProductSources()) {
    EXPECT_NE(file.room, "") << file.path << " lies in no room of tests/tidy/tidy_test.cc";
  }
}

TEST(TidyTest, RoomsIncludeOnlyWhatStandsAboveThem) {
  const std::regex include(R"re(^\s*#include\s+"([^"]+)")re");
  for (const SourceFile& file : ProductSources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(file.lines[i], match, include)) {
        continue;
      }
      const std::string target = match[1];
      if (target.rfind("bitsweep_generated/", 0) == 0) {
        continue;
      }
      const std::string room = target.rfind("bitsweep/v1/", 0) == 0 ? "proto/bitsweep" : RoomOf(target);
      EXPECT_NE(room, "") << At(file, i) << ": \"" << target << "\" is not rooted at the repository";
      if (room != "" && room != file.room) {
        EXPECT_TRUE(Arrows().at(file.room).count(room)) << At(file, i) << ": " << file.room << " may not include " << room;
      }
    }
  }
}

TEST(TidyTest, ThirdPartyLibrariesStayInTheirRooms) {
  const std::regex include(R"re(^\s*#include\s+<([^>]+)>)re");
  for (const SourceFile& file : ProductSources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(file.lines[i], match, include)) {
        continue;
      }
      for (const Ownership& owner : Owners()) {
        if (match[1].str().rfind(owner.prefix, 0) == 0) {
          EXPECT_TRUE(owner.rooms.count(file.room)) << At(file, i) << ": <" << match[1] << "> does not belong in " << file.room;
        }
      }
    }
  }
}

TEST(TidyTest, HeadersOfTheEngineStayLight) {
  for (const SourceFile& file : ProductSources()) {
    if (file.room != "worker/engine" || !file.path.ends_with(".h")) {
      continue;
    }
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const bool heavy = file.lines[i].find("<torch/") != std::string::npos || file.lines[i].find("<ATen/ATen.h>") != std::string::npos;
      EXPECT_FALSE(heavy) << At(file, i) << ": headers take <ATen/core/Tensor.h> at most (it costs 1 s a file, the others 4 to 14)";
    }
  }
}

TEST(TidyTest, LinesStayReadable) {
  // The tests' own sources hold wide data in raw strings, so the rule is checked on the product.
  for (const SourceFile& file : ProductSources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      // Columns, not bytes: continuation bytes of UTF-8 take no room.
      const auto columns = std::count_if(file.lines[i].begin(), file.lines[i].end(),
                                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
      // clang-format holds new code to 100; this bound is a ratchet over lines that are older than that rule.
      EXPECT_LE(columns, 150) << At(file, i);
    }
  }
}

TEST(TidyTest, NoBannedCalls) {
  for (const SourceFile& file : ProductSources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      for (const Ban& ban : Bans()) {
        if (!ban.allowed_rooms.count(file.room)) {
          EXPECT_FALSE(std::regex_search(file.lines[i], ban.pattern)) << At(file, i) << ": use " << ban.instead;
        }
      }
    }
  }
}

TEST(TidyTest, EveryRoomHasAReadme) {
  for (const auto& [room, unused] : Arrows()) {
    EXPECT_TRUE(fs::exists(kRoot / room / "README.md")) << room << "/README.md";
  }
}

TEST(TidyTest, TheProjectSpeaksOfItselfAlone) {
  // Paths of a machine do not belong in what we ship.
  const std::regex machine_path(R"((/home/\w|/root/|/work/))");
  for (const SourceFile& file : ProductSources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(file.lines[i], machine_path)) << At(file, i) << ": names a path of some machine";
    }
  }
}

}  // namespace
