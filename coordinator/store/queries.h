// Every statement of the store by name, with its parameters and columns. Always bound, prepared
// once, never concatenated.
// `?N stage` is a stage's key; the inner selects turn keys into the integers that the tables join
// on.
#pragma once

#include "coordinator/store/database.h"

namespace bitsweep::queries {

// ?1 name, ?2 next.
inline constexpr Query kSetCounter{"set_counter", R"sql(
  INSERT INTO counter (name, next) VALUES (?1, ?2)
  ON CONFLICT (name) DO UPDATE SET next = excluded.next)sql"};
// -> name, next.
inline constexpr Query kCounters{"counters", "SELECT name, next FROM counter"};

// ?1 id, ?2 request id, ?3 name, ?4 user, ?5 priority, ?6 file name, ?7 text, ?8 device, ?9 dtype,
// ?10 created.
inline constexpr Query kAddSweep{"add_sweep", R"sql(
  INSERT INTO sweep (sweep_id, request_id, name, user, priority, file_name, spec_text, device,
                     dtype, state, paused, cancelled, cached, created_us)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'planning', 0, 0, 0, ?10))sql"};
// ?1 sweep, ?2 name, ?3 value.
inline constexpr Query kAddSetting{"add_setting", R"sql(
  INSERT INTO sweep_setting (sweep_id, name, value) VALUES (?1, ?2, ?3))sql"};
// ?1 sweep, ?2 path, ?3 digest.
inline constexpr Query kAddFile{"add_file", R"sql(
  INSERT INTO sweep_file (sweep_id, path, sha256) VALUES (?1, ?2, ?3))sql"};
// ?1 sweep, ?2 state, ?3 paused, ?4 cancelled, ?5 cached, ?6 ended. Changes 1 row.
inline constexpr Query kUpdateSweep{"update_sweep", R"sql(
  UPDATE sweep SET state = ?2, paused = ?3, cancelled = ?4, cached = ?5, ended_us = ?6
  WHERE sweep_id = ?1)sql"};

// ?1 sweep, ?2 ordinal, ?3 cell id, ?4 model, ?5 family, ?6 params, ?7 precision, ?8 calibration,
// ?9 finetuned, ?10 benchmark, ?11 language, ?12 seed, ?13 problems, ?14 samples, ?15 .. ?19 stages
// (inspect to grade), ?20 failure.
inline constexpr Query kWriteCell{"write_cell", R"sql(
  INSERT INTO cell (sweep_id, ordinal, cell_id, model, family, params, precision, calibration,
                    finetuned, benchmark, language, seed, problems, samples, inspect_id,
                    quantize_id, finetune_id, generate_id, grade_id, failure)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
          (SELECT stage_id FROM stage WHERE key = ?15),
          (SELECT stage_id FROM stage WHERE key = ?16),
          (SELECT stage_id FROM stage WHERE key = ?17),
          (SELECT stage_id FROM stage WHERE key = ?18),
          (SELECT stage_id FROM stage WHERE key = ?19), ?20)
  ON CONFLICT (sweep_id, ordinal) DO UPDATE SET
    problems = excluded.problems, samples = excluded.samples, family = excluded.family,
    params = excluded.params, quantize_id = excluded.quantize_id,
    finetune_id = excluded.finetune_id, generate_id = excluded.generate_id,
    grade_id = excluded.grade_id, failure = excluded.failure)sql"};
// ?1 sweep, ?2 ordinal, ?3 position, ?4 question.
inline constexpr Query kWriteQuestion{"write_question", R"sql(
  INSERT INTO cell_question (sweep_id, ordinal, position, question) VALUES (?1, ?2, ?3, ?4)
  ON CONFLICT (sweep_id, ordinal, position) DO UPDATE SET question = excluded.question)sql"};
// ?1 sweep, ?2 inspect stage, ?3 plan.
inline constexpr Query kWriteModel{"write_model", R"sql(
  INSERT INTO sweep_model (sweep_id, inspect_id, plan)
  VALUES (?1, (SELECT stage_id FROM stage WHERE key = ?2), ?3)
  ON CONFLICT (sweep_id, inspect_id) DO UPDATE SET plan = excluded.plan)sql"};

// ?1 id, ?2 key, ?3 kind, ?4 label, ?5 parameters, ?6 spec, ?7 inputs, ?8 needs, ?9 cost, ?10
// state, ?11 created, ?12 attempt.
inline constexpr Query kAddStage{"add_stage", R"sql(
  INSERT INTO stage (stage_id, key, kind, label, parameters, spec, inputs, needs, cost_estimate,
                     state, attempt, forgiven, created_us)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?12, 0, ?11))sql"};
// ?1 stage id, ?2 position, ?3 upstream stage.
inline constexpr Query kAddUpstream{"add_upstream", R"sql(
  INSERT INTO stage_upstream (stage_id, position, upstream_id)
  VALUES (?1, ?2, (SELECT stage_id FROM stage WHERE key = ?3)))sql"};
// ?1 stage, ?2 sweep.
inline constexpr Query kWantStage{"want_stage", R"sql(
  INSERT INTO stage_sweep (stage_id, sweep_id)
  VALUES ((SELECT stage_id FROM stage WHERE key = ?1), ?2))sql"};
// ?1 stage, ?2 state, ?3 attempt, ?4 forgiven, ?5 retry at. Changes 1 row.
inline constexpr Query kUpdateStage{"update_stage", R"sql(
  UPDATE stage SET state = ?2, attempt = ?3, forgiven = ?4, retry_at_us = ?5 WHERE key = ?1)sql"};

// ?1 stage, ?2 attempt, ?3 lease, ?4 worker, ?5 at.
inline constexpr Query kLeaseAttempt{"lease_attempt", R"sql(
  INSERT INTO attempt (stage_id, attempt, lease_id, worker_id, state, leased_us, final, message,
                       log_tail, build, peak_host_bytes, peak_gpu_bytes)
  VALUES ((SELECT stage_id FROM stage WHERE key = ?1), ?2, ?3, ?4, 'leased', ?5, 0, '', '', '',
          0, 0))sql"};
// ?1 stage, ?2 attempt. Changes 1 row.
inline constexpr Query kDropAttempt{"drop_attempt", R"sql(
  DELETE FROM attempt
  WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1) AND attempt = ?2)sql"};
// ?1 stage, ?2 attempt, ?3 at. Changes 1 row.
inline constexpr Query kStartAttempt{"start_attempt", R"sql(
  UPDATE attempt SET state = 'running', started_us = ?3
  WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1) AND attempt = ?2)sql"};
// ?1 stage, ?2 attempt, ?3 worker. Changes 1 row.
inline constexpr Query kReattachAttempt{"reattach_attempt", R"sql(
  UPDATE attempt SET worker_id = ?3
  WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1) AND attempt = ?2)sql"};
// ?1 stage, ?2 attempt, ?3 state, ?4 failure class, ?5 message, ?6 log tail, ?7 build, ?8 peak
// host, ?9 peak GPU, ?10 final, ?11 at. Changes 1 row.
inline constexpr Query kEndAttempt{"end_attempt", R"sql(
  UPDATE attempt SET state = ?3, failure_class = ?4, message = ?5, log_tail = ?6, build = ?7,
    peak_host_bytes = ?8, peak_gpu_bytes = ?9, final = ?10, ended_us = ?11
  WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1) AND attempt = ?2)sql"};

// ?1 stage.
inline constexpr Query kDropFiles{"drop_files", R"sql(
  DELETE FROM artifact_file WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1))sql"};
// ?1 stage.
inline constexpr Query kDropVerdicts{"drop_verdicts", R"sql(
  DELETE FROM verdict WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1))sql"};
// ?1 stage, ?2 position, ?3 name, ?4 size, ?5 digest.
inline constexpr Query kAddArtifactFile{"add_artifact_file", R"sql(
  INSERT INTO artifact_file (stage_id, position, name, size, sha256)
  VALUES ((SELECT stage_id FROM stage WHERE key = ?1), ?2, ?3, ?4, ?5))sql"};
// ?1 stage, ?2 summary (JSON or NULL). Figures that views show are taken out of it. Changes 1 row.
inline constexpr Query kSetSummary{"set_summary", R"sql(
  UPDATE stage SET summary = ?2,
    weights_bytes = iif(json_valid(?2), CAST(json_extract(?2, '$.weights_bytes') AS INTEGER), NULL),
    effective_bits = iif(json_valid(?2), CAST(json_extract(?2, '$.effective_bits') AS REAL), NULL),
    model_parameters = iif(json_valid(?2), CAST(json_extract(?2, '$.parameters') AS INTEGER), NULL)
  WHERE key = ?1)sql"};
// ?1 stage, ?2 problem, ?3 sample, ?4 verdict, ?5 passed, ?6 study verdict, ?7 study passed, ?8
// cpu, ?9 wall, ?10 memory, ?11 exit code, ?12 signal, ?13 isolation, ?14 witness.
inline constexpr Query kAddVerdict{"add_verdict", R"sql(
  INSERT INTO verdict (stage_id, problem, sample, verdict, passed, study_verdict, study_passed,
                       cpu_seconds, wall_seconds, memory_bytes, exit_code, signal, isolation,
                       witness)
  VALUES ((SELECT stage_id FROM stage WHERE key = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
          ?12, ?13, ?14))sql"};

// ?1 id, ?2 name, ?3 version, ?4 build, ?5 stages, ?6 GPUs, ?7 host bytes, ?8 cores, ?9 slots, ?10
// isolation, ?11 labels, ?12 at.
inline constexpr Query kAddWorker{"add_worker", R"sql(
  INSERT INTO worker (worker_id, name, version, build, stages, gpus, host_bytes, cores, slots,
                      isolation, labels, state, registered_us, last_seen_us)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'connected', ?12, ?12))sql"};
// ?1 id, ?2 state, ?3 last seen. Changes 1 row.
inline constexpr Query kUpdateWorker{"update_worker", R"sql(
  UPDATE worker SET state = ?2, last_seen_us = ?3 WHERE worker_id = ?1)sql"};
// At a start nobody is registered.
inline constexpr Query kEndRegistrations{"end_registrations", R"sql(
  UPDATE worker SET state = 'gone' WHERE state IN ('connected', 'disconnected'))sql"};

// Loading.

// -> id, request id, name, user, priority, file name, text, device, dtype, state, paused,
// cancelled, cached, created, ended.
inline constexpr Query kSweeps{"sweeps", R"sql(
  SELECT sweep_id, request_id, name, user, priority, file_name, spec_text, device, dtype, state,
         paused, cancelled, cached, created_us, ended_us
  FROM sweep ORDER BY sweep_id)sql"};
// -> sweep, name, value.
inline constexpr Query kSettings{"settings", "SELECT sweep_id, name, value FROM sweep_setting"};
// -> sweep, path, digest.
inline constexpr Query kFiles{"files", "SELECT sweep_id, path, sha256 FROM sweep_file"};
// -> sweep, inspect stage, plan.
inline constexpr Query kModels{"models", R"sql(
  SELECT m.sweep_id, s.key, m.plan
  FROM sweep_model AS m JOIN stage AS s ON s.stage_id = m.inspect_id
  ORDER BY m.sweep_id, m.inspect_id)sql"};
// -> sweep, ordinal, cell id, model, family, params, precision, calibration, finetuned, benchmark,
// language, seed, problems, samples, failure, inspect, quantize, finetune, generate, grade (keys or
// NULL).
inline constexpr Query kCells{"cells", R"sql(
  SELECT c.sweep_id, c.ordinal, c.cell_id, c.model, c.family, c.params, c.precision,
         c.calibration, c.finetuned, c.benchmark, c.language, c.seed, c.problems, c.samples,
         c.failure, i.key, q.key, f.key, g.key, v.key
  FROM cell AS c
  JOIN stage AS i ON i.stage_id = c.inspect_id
  LEFT JOIN stage AS q ON q.stage_id = c.quantize_id
  LEFT JOIN stage AS f ON f.stage_id = c.finetune_id
  LEFT JOIN stage AS g ON g.stage_id = c.generate_id
  LEFT JOIN stage AS v ON v.stage_id = c.grade_id
  ORDER BY c.sweep_id, c.ordinal)sql"};
// -> sweep, ordinal, question.
inline constexpr Query kQuestions{"questions", R"sql(
  SELECT sweep_id, ordinal, question FROM cell_question ORDER BY sweep_id, ordinal, position)sql"};
// -> sweep, stage. By age of the stage.
inline constexpr Query kWants{"wants", R"sql(
  SELECT w.sweep_id, s.key FROM stage_sweep AS w JOIN stage AS s USING (stage_id)
  ORDER BY w.sweep_id, w.stage_id)sql"};
// -> id, key, kind, label, parameters, spec, inputs, needs, cost, state, attempt, forgiven, retry
// at, summary, then of the newest attempt: lease, worker, worker's name, leased, started, ended,
// failure class, message.
inline constexpr Query kStages{"stages", R"sql(
  SELECT s.stage_id, s.key, s.kind, s.label, s.parameters, s.spec, s.inputs, s.needs,
         s.cost_estimate, s.state, s.attempt, s.forgiven, s.retry_at_us, s.summary,
         a.lease_id, a.worker_id, w.name, a.leased_us, a.started_us, a.ended_us, a.failure_class,
         a.message
  FROM stage AS s
  LEFT JOIN attempt AS a ON a.stage_id = s.stage_id AND a.attempt = s.attempt
  LEFT JOIN worker AS w ON w.worker_id = a.worker_id
  ORDER BY s.stage_id)sql"};
// -> stage id, upstream stage.
inline constexpr Query kUpstreams{"upstreams", R"sql(
  SELECT u.stage_id, s.key FROM stage_upstream AS u JOIN stage AS s ON s.stage_id = u.upstream_id
  ORDER BY u.stage_id, u.position)sql"};
// -> stage id, name, size, digest.
inline constexpr Query kArtifactFiles{"artifact_files", R"sql(
  SELECT stage_id, name, size, sha256 FROM artifact_file ORDER BY stage_id, position)sql"};
// -> stage id, failure class, count. Attempts that still count.
inline constexpr Query kFailureCounts{"failure_counts", R"sql(
  SELECT a.stage_id, a.failure_class, count(*)
  FROM attempt AS a JOIN stage AS s USING (stage_id)
  WHERE a.failure_class IS NOT NULL AND a.attempt > s.forgiven
  GROUP BY a.stage_id, a.failure_class)sql"};
// -> sweep, stage, kind, label, attempt, failure class, message, worker, ended, final. Newest
// first.
inline constexpr Query kFailures{"failures", R"sql(
  SELECT t.sweep_id, s.key, s.kind, s.label, a.attempt, a.failure_class, a.message, w.name,
         a.ended_us, a.final
  FROM attempt AS a
  JOIN stage AS s USING (stage_id)
  JOIN stage_sweep AS t USING (stage_id)
  JOIN sweep AS p USING (sweep_id)
  JOIN worker AS w ON w.worker_id = a.worker_id
  WHERE a.failure_class IS NOT NULL AND a.ended_us >= p.created_us
  ORDER BY a.ended_us DESC, a.lease_id DESC)sql"};
// -> kind, count, seconds. Succeeded attempts.
inline constexpr Query kHistory{"history", R"sql(
  SELECT s.kind, count(*), sum((a.ended_us - a.started_us) / 1e6)
  FROM attempt AS a JOIN stage AS s USING (stage_id)
  WHERE a.state = 'succeeded' AND a.started_us IS NOT NULL AND a.ended_us IS NOT NULL
  GROUP BY s.kind)sql"};

// Results.

// ?1 sweep -> 1 when there is such a sweep.
inline constexpr Query kHasSweep{"has_sweep", "SELECT count(*) FROM sweep WHERE sweep_id = ?1"};
// ?1 sweep -> cell, model, family, params, precision, calibration, finetuned, benchmark, language,
// seed, state, problems, samples, pass@1, size, bits, study's pass@1, weak witnesses, failure,
// parameters, stages done, stages total, failure class, inspect, quantize, finetune, generate,
// grade, ordinal.
inline constexpr Query kCellResults{"cell_results", R"sql(
  SELECT r.cell, r.model, r.family, r.params, r.precision, r.calibration, r.finetuned,
         r.benchmark, r.language, r.seed, r.state, r.problems, r.samples, r.pass_at_1,
         r.size_bytes, r.effective_bits, r.study_pass_at_1, r.weak_witnesses, r.failure,
         d.model_parameters, d.stages_done, d.stages_total,
         (SELECT a.failure_class FROM attempt AS a JOIN stage AS s USING (stage_id)
          WHERE a.stage_id = d.failed_id AND a.attempt = s.attempt),
         d.inspect_key, d.quantize_key, d.finetune_key, d.generate_key, d.grade_key, r.ordinal
  FROM cell_results AS r
  JOIN cell_detail AS d ON d.sweep_id = r.sweep AND d.ordinal = r.ordinal
  WHERE r.sweep = ?1
  ORDER BY r.ordinal)sql"};
// ?1 sweep -> ordinal, question.
inline constexpr Query kQuestionsOf{"questions_of", R"sql(
  SELECT ordinal, question FROM cell_question WHERE sweep_id = ?1 ORDER BY ordinal, position)sql"};
// ?1 sweep -> cell, problem, sample, verdict, passed, study verdict, study passed, cpu, wall,
// memory, exit code, signal, isolation, witness.
inline constexpr Query kSampleOutcomes{"sample_outcomes", R"sql(
  SELECT cell, problem, sample, verdict, passed, study_verdict, study_passed, cpu_seconds,
         wall_seconds, memory_bytes, exit_code, signal, isolation, witness
  FROM sample_outcomes WHERE sweep = ?1 ORDER BY ordinal, problem, sample)sql"};
// ?1 stage -> problem, sample, verdict, passed, study verdict, study passed, cpu, wall, memory, exit
// code, signal, isolation, witness.
inline constexpr Query kVerdicts{"verdicts", R"sql(
  SELECT problem, sample, verdict, passed, study_verdict, study_passed, cpu_seconds, wall_seconds,
         memory_bytes, exit_code, signal, isolation, witness
  FROM verdict WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1)
  ORDER BY problem, sample)sql"};
// ?1 sweep -> key, kind, label, parameters, semantics, summary, attempt, worker, version, GPUs,
// build, started, ended, peak host, peak GPU, created. Of succeeded stages, with the attempt that
// succeeded (absent where the stage was imported), by age.
inline constexpr Query kSweepStages{"sweep_stages", R"sql(
  SELECT s.key, s.kind, s.label, s.parameters,
         iif(json_valid(s.needs), json_extract(s.needs, '$.semantics'), 0), s.summary, a.attempt,
         w.name, w.version, w.gpus, a.build, a.started_us, a.ended_us, a.peak_host_bytes,
         a.peak_gpu_bytes, s.created_us
  FROM stage_sweep AS t
  JOIN stage AS s USING (stage_id)
  LEFT JOIN attempt AS a ON a.stage_id = s.stage_id AND a.attempt = s.attempt
  LEFT JOIN worker AS w ON w.worker_id = a.worker_id
  WHERE t.sweep_id = ?1 AND s.state = 'succeeded'
  ORDER BY s.stage_id)sql"};
// ?1 stage -> name, size, digest.
inline constexpr Query kFilesOf{"files_of", R"sql(
  SELECT name, size, sha256 FROM artifact_file
  WHERE stage_id = (SELECT stage_id FROM stage WHERE key = ?1) ORDER BY position)sql"};
// ?1 stage, ?2 attempt or 0 for the newest -> attempt, worker, state, failure class, message, log
// tail, build, leased, started, ended, peak host, peak GPU.
inline constexpr Query kAttempt{"attempt", R"sql(
  SELECT a.attempt, w.name, a.state, a.failure_class, a.message, a.log_tail, a.build, a.leased_us,
         a.started_us, a.ended_us, a.peak_host_bytes, a.peak_gpu_bytes
  FROM attempt AS a JOIN worker AS w USING (worker_id)
  WHERE a.stage_id = (SELECT stage_id FROM stage WHERE key = ?1) AND (?2 = 0 OR a.attempt = ?2)
  ORDER BY a.attempt DESC LIMIT 1)sql"};
// -> digest.
inline constexpr Query kReferencedBlobs{"referenced_blobs", R"sql(
  SELECT sha256 FROM artifact_file UNION SELECT sha256 FROM sweep_file)sql"};

}  // namespace bitsweep::queries
