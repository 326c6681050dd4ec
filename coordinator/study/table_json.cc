// A Table as JSON.
#include <nlohmann/json.hpp>

#include "coordinator/study/table_grid.h"
#include "coordinator/study/tables.h"

namespace bitsweep {
namespace {

using Json = nlohmann::ordered_json;

template <typename Value>
Json OrNull(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json FigureJson(const TableFigure& figure) {
  Json interval = nullptr;
  if (figure.interval) {
    interval = {figure.interval->low, figure.interval->high};
  }
  return {{"state", figure.state},
          {"pass_at_1", OrNull(figure.pass_at_1)},
          {"interval", std::move(interval)},
          {"spread", OrNull(figure.spread)},
          {"difference", OrNull(figure.difference)},
          {"arrow", figure.arrow ? Json(ToString(*figure.arrow)) : Json(nullptr)},
          {"dec_percent", OrNull(figure.dec_percent)},
          {"best", figure.best},
          {"problems", figure.problems},
          {"samples", figure.samples},
          {"seeds", figure.seeds},
          {"seeds_done", figure.seeds_done},
          {"weak_witnesses", figure.weak_witnesses}};
}

}  // namespace

std::string RenderJson(const Table& table) {
  Json rows = Json::array();
  for (const TableRow& row : table.rows) {
    Json figures = Json::object();
    for (std::size_t i = 0; i < row.figures.size(); ++i) {
      figures[table.languages[i]] = FigureJson(row.figures[i]);
    }
    rows.push_back({{"model", row.model},
                    {"family", row.family},
                    {"params", row.params},
                    {"precision", row.precision},
                    {"calibration", row.calibration},
                    {"finetuned", row.finetuned},
                    {"parameters", OrNull(row.parameters)},
                    {"size_bytes", OrNull(row.size_bytes)},
                    {"effective_bits", OrNull(row.effective_bits)},
                    {"reference", row.reference},
                    {"group", row.group},
                    {"figures", std::move(figures)}});
  }
  const Json out = {{"question", table.question},
                    {"kind", ToString(table.kind)},
                    {"benchmark", table.benchmark},
                    {"title", TitleOf(table)},
                    {"rounded", table.rounded},
                    {"languages", table.languages},
                    {"rows", std::move(rows)},
                    {"notes", table.notes}};
  // Names come from a sweep file and may hold any bytes.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bitsweep
