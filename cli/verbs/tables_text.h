// The tables of a response as one text in the wanted format: what `tables` prints, writes and
// redraws. Plain values and free functions: any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitsweep/v1/results.pb.h"

namespace bitsweep::cli {

struct TablesOptions {
  std::string sweep = "latest";
  std::string question;
  std::string benchmark;
  std::string format = "markdown";
  std::string layout = "exact";
  std::string output_dir;
  bool intervals = false;
  bool standalone = false;
  bool watch = false;
  double give_up_after = 600;  // Seconds.
};

v1::TableRequest ToRequest(const TablesOptions& options);

/// One document of all tables; "" where there are none.
std::string TablesText(const TablesOptions& options, const std::vector<v1::Table>& tables);

/// For --output json: the table with its text, or with what the text says where that is JSON.
nlohmann::ordered_json ToJsonTable(const TablesOptions& options, const v1::Table& table);

/// What a file of one table holds.
std::string FileText(const TablesOptions& options, const v1::Table& table);

/// A plain file name, whatever the question and the benchmark are called.
std::string FileName(const TablesOptions& options, const v1::Table& table);

}  // namespace bitsweep::cli
