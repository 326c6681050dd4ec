// What the tests say in words: verdicts of a row, footers of a table. Internal to this room. Pure
// free functions: any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/question_tests.h"

namespace bitsweep {

/// "worse", "better" (of the treatment, at the table's level, after correction where there is one)
/// or "no difference shown"; the row's state where it was not tested.
std::string SampleVerdict(const TestTable& table, const TestRow& row);
std::string ProblemVerdict(const TestTable& table, const TestRow& row);

/// REQUIRES: the rows of `table` are complete.
std::vector<std::string> TestNotes(const TestTable& table);

}  // namespace bitsweep
