// The views of schema version 1: the database's public face (README.md documents every column).
// Plain SQLite only, so that sqlite3, a notebook or Grafana can read them. Each is fast for one
// sweep whatever else the database holds: verdicts are looked up by their grade stage, never summed
// over the whole table.
#pragma once

#include <string_view>

namespace bitsweep {

inline constexpr std::string_view kViews1 = R"sql(
-- A cell with its stages and its derived state: what the documented views share.
CREATE VIEW cell_detail AS
SELECT
  c.*,
  s.name AS sweep_name,
  CASE
    WHEN grade.state = 'succeeded' THEN 'succeeded'
    WHEN (inspect.state = 'failed' AND inspect.retry_at_us IS NULL)
      OR (quantize.state = 'failed' AND quantize.retry_at_us IS NULL)
      OR (finetune.state = 'failed' AND finetune.retry_at_us IS NULL)
      OR (generate.state = 'failed' AND generate.retry_at_us IS NULL)
      OR (grade.state = 'failed' AND grade.retry_at_us IS NULL)
      OR c.failure <> '' THEN 'failed'
    WHEN s.cancelled THEN 'cancelled'
    WHEN coalesce(quantize.state, '') IN ('leased', 'running')
      OR coalesce(finetune.state, '') IN ('leased', 'running')
      OR coalesce(generate.state, '') IN ('leased', 'running')
      OR coalesce(grade.state, '') IN ('leased', 'running') THEN 'running'
    ELSE 'pending'
  END AS state,
  CASE
    WHEN c.finetuned <> 'none' THEN finetune.weights_bytes
    WHEN c.precision <> 'fp16' THEN quantize.weights_bytes
    ELSE inspect.weights_bytes
  END AS size_bytes,
  CASE
    WHEN c.finetuned <> 'none' THEN finetune.effective_bits
    WHEN c.precision <> 'fp16' THEN quantize.effective_bits
    WHEN inspect.state = 'succeeded' THEN 16.0
  END AS effective_bits,
  inspect.model_parameters AS model_parameters,
  1 + (c.quantize_id IS NOT NULL) + (c.finetune_id IS NOT NULL) + (c.generate_id IS NOT NULL)
    + (c.grade_id IS NOT NULL) AS stages_total,
  (inspect.state = 'succeeded') + coalesce(quantize.state = 'succeeded', 0)
    + coalesce(finetune.state = 'succeeded', 0) + coalesce(generate.state = 'succeeded', 0)
    + coalesce(grade.state = 'succeeded', 0) AS stages_done,
  CASE
    WHEN inspect.state = 'failed' THEN c.inspect_id
    WHEN quantize.state = 'failed' THEN c.quantize_id
    WHEN finetune.state = 'failed' THEN c.finetune_id
    WHEN generate.state = 'failed' THEN c.generate_id
    WHEN grade.state = 'failed' THEN c.grade_id
  END AS failed_id,
  inspect.key AS inspect_key, quantize.key AS quantize_key, finetune.key AS finetune_key,
  generate.key AS generate_key, grade.key AS grade_key
FROM cell AS c
JOIN sweep AS s USING (sweep_id)
JOIN stage AS inspect ON inspect.stage_id = c.inspect_id
LEFT JOIN stage AS quantize ON quantize.stage_id = c.quantize_id
LEFT JOIN stage AS finetune ON finetune.stage_id = c.finetune_id
LEFT JOIN stage AS generate ON generate.stage_id = c.generate_id
LEFT JOIN stage AS grade ON grade.stage_id = c.grade_id;

CREATE VIEW cell_results AS
SELECT
  d.sweep_id AS sweep, d.model, d.family, d.params, d.precision, d.calibration, d.finetuned,
  d.benchmark, d.language, d.problems, d.samples,
  -- The mean over problems of the fraction of samples that pass: the unbiased pass@k at k = 1.
  CASE WHEN d.state = 'succeeded' THEN (
    SELECT avg(fraction) FROM (
      SELECT avg(v.passed) AS fraction FROM verdict AS v
      WHERE v.stage_id = d.grade_id GROUP BY v.problem))
  END AS pass_at_1,
  d.size_bytes, d.effective_bits, d.state,
  -- Beyond the contract's columns.
  d.sweep_name, d.seed, d.cell_id AS cell, d.ordinal,
  CASE WHEN d.state = 'succeeded' THEN (
    SELECT avg(fraction) FROM (
      SELECT avg(v.study_passed) AS fraction FROM verdict AS v
      WHERE v.stage_id = d.grade_id GROUP BY v.problem))
  END AS study_pass_at_1,
  CASE WHEN d.state = 'succeeded' THEN (
    SELECT count(*) FROM verdict AS v WHERE v.stage_id = d.grade_id AND v.witness = 'weak')
  END AS weak_witnesses,
  d.failure
FROM cell_detail AS d;

CREATE VIEW sample_outcomes AS
SELECT
  d.sweep_id AS sweep, d.model, d.family, d.params, d.precision, d.calibration, d.finetuned,
  d.benchmark, d.language, v.problem, v.sample, v.verdict, v.passed,
  -- Beyond the contract's columns.
  d.sweep_name, d.seed, d.cell_id AS cell, d.ordinal, v.study_verdict, v.study_passed,
  v.cpu_seconds, v.wall_seconds, v.memory_bytes, v.exit_code, v.signal, v.isolation, v.witness
FROM cell_detail AS d JOIN verdict AS v ON v.stage_id = d.grade_id
WHERE d.state = 'succeeded';

CREATE VIEW stage_history AS
SELECT
  stage.key AS stage, stage.kind, attempt.attempt, worker.name AS worker,
  strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started_us / 1e6, 'unixepoch') AS started,
  strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended_us / 1e6, 'unixepoch') AS ended,
  attempt.state, attempt.failure_class,
  (attempt.ended_us - attempt.started_us) / 1e6 AS seconds,
  attempt.peak_gpu_bytes,
  -- Beyond the contract's columns.
  stage.label, attempt.peak_host_bytes, attempt.message, attempt.build, worker.gpus,
  attempt.leased_us, attempt.started_us, attempt.ended_us
FROM attempt
JOIN stage USING (stage_id)
JOIN worker USING (worker_id);
)sql";

}  // namespace bitsweep
