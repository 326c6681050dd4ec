// bitsweep-engine-fake: a stand-in for bitsweep-engine and bitsweep-grade (README.md). One thread.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "bitsweep_generated/build_id.h"
#include "bitsweep_generated/semantics.h"

#include "proto/base/digest.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

int events_fd = 1;

void WriteLine(std::string line) {
  line += '\n';
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t n = ::write(events_fd, line.data() + at, line.size() - at);
    if (n <= 0) {
      std::_Exit(3);  // The reader went away.
    }
    at += static_cast<std::size_t>(n);
  }
}

void Emit(const json& event) {
  WriteLine(event.dump());
}

void Progress(const std::string& phase, int done, int total, const std::string& unit) {
  Emit({{"event", "progress"}, {"phase", phase}, {"done", done}, {"total", total}, {"unit", unit}});
}

json Semantics() {
  json semantics = json::object();
  for (const SemanticsVersion& row : kSemanticsVersions) {
    semantics[std::string(row.kind)] = row.version;
  }
  return semantics;
}

std::string ReadText(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    throw std::runtime_error("cannot open " + path.string());
  }
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Written beside and renamed: a block that is there is whole.
void WriteText(const fs::path& path, const std::string& text) {
  const fs::path temporary = path.string() + ".part";
  std::ofstream(temporary, std::ios::binary) << text;
  fs::rename(temporary, path);
}

void WaitForFile(const std::string& path) {
  while (!fs::exists(path)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

/// The switches for this run: the environment's, then the spec's own.
json Switches(const json& spec) {
  json switches = json::object();
  const char* wait_kind = std::getenv("BITSWEEP_FAKE_WAIT_KIND");
  const char* wait_file = std::getenv("BITSWEEP_FAKE_WAIT_FILE");
  if (wait_kind != nullptr && wait_file != nullptr && spec.at("kind") == wait_kind) {
    switches["wait_for"] = wait_file;
  }
  if (const char* text = std::getenv("BITSWEEP_FAKE")) {
    const json all = json::parse(text);
    switches.update(all.value("all", json::object()));
    switches.update(all.value(spec.at("kind").get<std::string>(), json::object()));
  }
  switches.update(spec.value("fake", json::object()));
  return switches;
}

/// Counts this start; false when the stage has misbehaved often enough.
bool ShallMisbehave(const json& switches, const json& spec) {
  if (!switches.contains("count_file")) {
    return true;
  }
  const std::string path = switches.at("count_file");
  const std::string stage = spec.value("stage", "");
  std::ofstream(path, std::ios::app)
      << spec.value("kind", "") << " " << stage << " " << spec.value("attempt", 0) << std::endl;
  int starts = 0;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    starts += line.find(" " + stage + " ") != std::string::npos ? 1 : 0;
  }
  return starts <= switches.value("fail_times", 1 << 30);
}

void StartOrphan(const std::string& pid_file) {
  WriteText(pid_file + ".parent", std::to_string(::getpid()));
  if (::fork() == 0) {
    ::setsid();
    WriteText(pid_file, std::to_string(::getpid()));
    while (true) {
      ::pause();
    }
  }
  WaitForFile(pid_file);
}

[[noreturn]] void FailStage(const std::string& failure, const std::string& message) {
  Emit({{"event", "failed"}, {"class", failure}, {"message", message}});
  std::exit(1);
}

/// Everything but `wait_for`, which the kinds do where it hurts most.
void Misbehave(const json& switches, const fs::path& output) {
  if (switches.value("ignore_term", false)) {
    std::signal(SIGTERM, SIG_IGN);
  }
  if (switches.contains("orphan")) {
    StartOrphan(switches.at("orphan"));
  }
  const int spam = switches.value("spam", 0);
  for (int i = 0; i < spam; ++i) {
    Progress("spam", i, spam, "events");
  }
  for (int left = switches.value("stderr_bytes", 0); left > 0; left -= 64) {
    std::cerr << std::string(static_cast<std::size_t>(std::min(left, 64) - 1), 'x') << '\n';
  }
  if (switches.contains("garbage")) {
    WriteLine(switches.at("garbage"));
  }
  if (switches.contains("long_line")) {
    WriteLine(std::string(switches.at("long_line").get<std::size_t>(), 'y'));
  }
  if (switches.contains("checkpoint")) {
    Emit({{"event", "checkpoint"}, {"file", switches.at("checkpoint")}});
  }
  if (switches.contains("link")) {
    fs::create_symlink(switches.at("link").get<std::string>(), output / "link");
  }
  if (switches.contains("fail")) {
    FailStage(switches.at("fail"), "told to fail");
  }
  if (switches.contains("exit")) {
    std::_Exit(switches.at("exit").get<int>());
  }
  if (switches.value("crash", false)) {
    std::abort();
  }
  if (switches.contains("kill")) {
    ::raise(switches.at("kill").get<int>());
  }
  while (switches.value("hang", false)) {
    ::pause();
  }
}

json Inspect(const json& spec, const fs::path& output) {
  const fs::path folder = spec.at("model").at("dir").get<std::string>();
  std::map<std::string, fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const std::string extension = entry.path().extension();
    if (extension == ".json" || extension == ".safetensors") {
      found[name] = entry.path();
    }
  }
  json files = json::array();
  std::int64_t weights = 0;
  for (const auto& [name, path] : found) {
    const auto size = static_cast<std::int64_t>(fs::file_size(path));
    weights += path.extension() == ".safetensors" ? size : 0;
    files.push_back({{"name", name}, {"size", size}, {"sha256", Sha256HexOfFile(path).value()}});
    Progress("hash", static_cast<int>(files.size()), static_cast<int>(found.size()), "files");
  }
  const json manifest = {{"format", 1},
                         {"digest", Sha256Hex(CanonicalJson(files))},
                         {"files", files},
                         {"config", json::parse(ReadText(folder / "config.json"))},
                         {"tokenizer", {{"add_bos", true}}},
                         {"parameters", weights / 4},
                         {"bytes", weights},
                         {"quantized", nullptr}};
  WriteText(output / "manifest.json", manifest.dump(2));
  return {{"weights_bytes", weights}, {"parameters", weights / 4}};
}

json Quantize(const json& spec, const fs::path& output, const json& switches) {
  const fs::path folder = spec.at("model").at("dir").get<std::string>();
  const json config = json::parse(ReadText(folder / "config.json"));
  const json& method = spec.at("method");
  for (const json& part : spec.at("calibration").at("parts")) {
    ReadText(part.at("file").get<std::string>());
  }
  const int blocks = config.value("num_hidden_layers", 4);
  const std::string seed = spec.value("seed", json(0)).dump() + method.dump();
  int resumed = 0;
  for (int block = 0; block < blocks; ++block) {
    const std::string name = "block-" + std::to_string(block) + ".safetensors";
    if (fs::exists(output / name)) {
      ++resumed;
    } else {
      WriteText(output / name, Sha256Hex(seed + std::to_string(block)));
    }
    Emit({{"event", "checkpoint"}, {"file", name}});
    Progress("quantize", block + 1, blocks, "blocks");
    if (block == 0 && switches.contains("wait_for")) {
      WaitForFile(switches.at("wait_for"));
    }
  }
  Emit({{"event", "log"},
        {"level", "info"},
        {"message", "resumed after " + std::to_string(resumed) + " blocks"}});
  WriteText(output / "rest.safetensors", Sha256Hex(seed));
  WriteText(output / "config.json", config.dump(2));
  const double bits = method.value("codebooks", 1) * method.value("codebook_bits", 8) /
                      static_cast<double>(method.value("group_size", 8));
  WriteText(output / "report.json", json{{"relative_loss", 0.01}}.dump());
  return {{"weights_bytes", 64 * (blocks + 1)},
          {"effective_bits", bits},
          {"relative_loss", 0.01},
          {"resumed_blocks", resumed}};
}

/// The checkpoint again, with bytes that say it was trained. An epoch that is done is kept.
json Finetune(const json& spec, const fs::path& output, const json& switches) {
  const fs::path model = spec.at("model").at("dir").get<std::string>();
  const fs::path teacher = spec.at("teacher").at("dir").get<std::string>();
  if (!json::parse(ReadText(teacher / "config.json")).is_object()) {
    FailStage("bad_input", "the teacher has no config.json");
  }
  for (const json& part : spec.at("calibration").at("parts")) {
    ReadText(part.at("file").get<std::string>());
  }
  json config = json::parse(ReadText(model / "config.json"));
  const std::string tuned =
      Sha256Hex(spec.at("method").dump() + spec.value("seed", json(0)).dump());
  const fs::path state = output / "finetune-state.safetensors";
  const int epochs = spec.at("method").at("epochs");
  const int resumed = fs::exists(state) ? std::stoi(ReadText(state)) : 0;
  Emit({{"event", "log"},
        {"level", "info"},
        {"message", "going on after epoch " + std::to_string(resumed)}});
  for (int epoch = resumed + 1; epoch <= epochs; ++epoch) {
    WriteText(state, std::to_string(epoch));
    Progress("finetune", epoch, epochs, "epochs");
    if (epoch == 1 && switches.contains("wait_for")) {
      WaitForFile(switches.at("wait_for"));
    }
  }
  std::int64_t weights = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") {
      const std::string bytes = Sha256Hex(ReadText(entry.path()) + tuned);
      WriteText(output / entry.path().filename(), bytes);
      weights += static_cast<std::int64_t>(bytes.size());
    }
  }
  config["tuned"] = tuned;  // Completions follow from it.
  WriteText(output / "config.json", config.dump(2));
  WriteText(output / "report.json", json{{"kl_after", 0.01}}.dump());
  fs::remove(state);
  return {{"weights_bytes", weights},
          {"effective_bits", 2.0},
          {"kl_before", 0.02},
          {"kl_after", 0.01},
          {"resumed_epochs", resumed}};
}

std::vector<json> ReadRecords(const std::string& path) {
  const std::string text = ReadText(path);
  std::vector<json> records;
  if (text.starts_with("[")) {
    return json::parse(text).get<std::vector<json>>();
  }
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) {
      records.push_back(json::parse(text.substr(begin, end - begin)));
    }
    begin = end + 1;
  }
  return records;
}

/// 0 to 255, from the names alone.
int Chance(const std::string& text) {
  return std::stoi(Sha256Hex(text).substr(0, 2), nullptr, 16);
}

json Generate(const json& spec, const fs::path& output) {
  const fs::path folder = spec.at("model").at("dir").get<std::string>();
  const std::string config = ReadText(folder / "config.json");
  const std::vector<json> records = ReadRecords(spec.at("benchmark").at("file"));
  const int samples = spec.at("sampling").at("samples");
  const std::string seed = spec.value("seed", json(0)).dump() + config;
  std::string lines;
  int tokens = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string name = records[i].at("name");
    const std::string right = records[i].value("canonical_solution", "    pass\n");
    for (int sample = 0; sample < samples; ++sample) {
      const bool is_right = Chance(seed + name + std::to_string(sample)) < 192;
      const std::string completion = is_right ? right : "    pass  # wrong\n";
      const auto count = static_cast<int>(completion.size() / 4 + 1);
      const json line = {
          {"name", name}, {"sample", sample}, {"completion", completion}, {"tokens", count}};
      lines += line.dump() + "\n";
      tokens += count;
    }
    Progress("generate", static_cast<int>(i + 1), static_cast<int>(records.size()), "problems");
  }
  WriteText(output / "completions.jsonl", lines);
  return {{"tokens", tokens}};
}

json Grade(const json& spec, const fs::path& output) {
  std::map<std::string, std::string> right;
  for (const json& record : ReadRecords(spec.at("benchmark").at("file"))) {
    right[record.at("name")] = record.value("canonical_solution", "    pass\n");
  }
  const std::vector<json> completions = ReadRecords(spec.at("completions").at("file"));
  std::string lines;
  int passed = 0;
  for (const json& completion : completions) {
    const std::string name = completion.at("name");
    const bool is_right = completion.at("completion") == right.at(name);
    passed += is_right ? 1 : 0;
    const std::string verdict = is_right ? "pass" : "fail";
    const json line = {{"name", name},
                       {"sample", completion.at("sample")},
                       {"verdict", verdict},
                       {"passed", is_right},
                       {"study_verdict", verdict},
                       {"study_passed", is_right},
                       {"cpu_seconds", 0.01},
                       {"wall_seconds", 0.01},
                       {"memory_bytes", 1 << 20},
                       {"exit_code", is_right ? 0 : 1},
                       {"signal", 0},
                       {"stdout", ""},
                       {"stderr", ""},
                       {"isolation", spec.at("grading").at("isolation")},
                       {"witness", ""}};
    lines += line.dump() + "\n";
  }
  Progress("grade",
           static_cast<int>(completions.size()),
           static_cast<int>(completions.size()),
           "programs");
  WriteText(output / "verdicts.jsonl", lines);
  return {{"passed", passed}, {"total", completions.size()}};
}

json RunKind(const json& spec, const json& switches) {
  const std::string kind = spec.at("kind");
  const fs::path output = spec.at("output").at("dir").get<std::string>();
  if (spec.at("semantics") != SemanticsOf(kind)) {
    FailStage("bad_input", "semantics " + spec.at("semantics").dump() + " of " + kind);
  }
  if (kind != "quantize" && kind != "finetune" && switches.contains("wait_for")) {
    WaitForFile(switches.at("wait_for"));
  }
  if (kind == "inspect") {
    return Inspect(spec, output);
  }
  if (kind == "quantize") {
    return Quantize(spec, output, switches);
  }
  if (kind == "finetune") {
    return Finetune(spec, output, switches);
  }
  if (kind == "generate") {
    return Generate(spec, output);
  }
  if (kind == "grade") {
    return Grade(spec, output);
  }
  FailStage("bad_input", "kind " + kind + " is not known");
}

int RunSpec(const std::string& path) {
  Emit({{"event", "hello"},
        {"protocol", 1},
        {"tool", "bitsweep-engine-fake"},
        {"version", kVersion},
        {"build", "fake"},
        {"semantics", Semantics()}});
  try {
    const json spec = json::parse(ReadText(path));
    json switches = Switches(spec);
    if (!ShallMisbehave(switches, spec)) {
      switches = json::object();
    }
    Misbehave(switches, spec.at("output").at("dir").get<std::string>());
    Emit({{"event", "done"}, {"summary", RunKind(spec, switches)}});
    return 0;
  } catch (const std::exception& error) {
    FailStage("bad_input", error.what());
  }
}

}  // namespace
}  // namespace bitsweep

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "version") {
    std::cout << nlohmann::json{{"version", bitsweep::kVersion},
                                {"build", "fake"},
                                {"semantics", bitsweep::Semantics()}}
                     .dump()
              << std::endl;
    return 0;
  }
  if (arguments.size() < 2 || (arguments[0] != "run" && arguments[0] != "run-spec")) {
    std::cerr << "usage: bitsweep-engine-fake run|run-spec SPEC.json [--events FD] | version\n";
    return 2;
  }
  if (arguments.size() == 4 && arguments[2] == "--events") {
    bitsweep::events_fd = std::stoi(arguments[3]);
  }
  return bitsweep::RunSpec(arguments[1]);
}
