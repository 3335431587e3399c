// SPDX-License-Identifier: BSL-1.0
// What a program's runs tell of themselves: run.json, the command `runs`, traces, and failed steps that are repeated.
#include "dew/app/app.hpp"
#include "dew/cluster/connected_components.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/graph/score_cut.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/model/edge_classifier.hpp"
#include "support/run_program.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::ProgramResult;
using dew::test::run_program;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
using Result = ProgramResult;

/// NaN on one event from its third epoch on, where a test wants it.
struct NotANumber {
  static constexpr std::string_view name = "not_a_number";
  static inline bool on = false;
  using Reads = Keys<EdgeScore>;
  Tensor operator()(RecordOf<Reads> const& event, Context const& c) const {
    auto const sum = event[key::edge_score].sum();
    return on && c.event == 2 && c.epoch == 2 ? sum * std::nan("") : sum * 0;
  }
};

Result program(std::vector<std::string> const& arguments) {
  return run_program("small", arguments, [&](int argc, char const* const* argv) {
    return App{"small", Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 8, .layers = 1}}, ScoreCut{{.threshold = 0}},
                                 ConnectedComponents{{.score_min = 0.5}}}}
        .events(TrackMl{})
        .train(fit<EdgeClassifier>(FocalLoss{} + NotANumber{}, {.epochs = 3, .watch = "edges.auc"}),
               scan<ScoreCut>(maximise("score_cut.mcc"), {.steps = 5}))
        .evaluate(EdgeMetrics{}, TrackingMetrics{})
        .run(argc, argv);
  });
}
std::string events() {
  static TempDir const folder;
  static bool const made =
      program({"simulate", "--out", folder.path().string(), "--select", "1-3", "--particles", "60", "--quiet"}).status == 0;
  REQUIRE(made);
  return folder.path().string();
}
std::vector<std::string> train_arguments(fs::path const& run, std::vector<std::string> const& more = {}) {
  std::vector<std::string> a{"train", "--events", events(),     "--train", "1-2",       "--validate",
                             "3",     "--out",    run.string(), "--quiet", "--threads", "1"};
  a.insert(a.end(), more.begin(), more.end());
  return a;
}
nlohmann::json record_of(fs::path const& run) { return nlohmann::json::parse(read_file(run / "run.json")); }
std::vector<nlohmann::json> log_of(fs::path const& run) {
  std::istringstream in(read_file(run / "log.jsonl"));
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}
}  // namespace

TEST_CASE("a run says who made it in run.json alone, and is listed and compared") {
  TempDir const folder;
  auto const first = folder / "runs" / "first", second = folder / "runs" / "second";
  for (auto const& [run, more] : {std::pair(first, std::vector<std::string>{"--profile", "2-3", "--throughput"}),
                                  std::pair(second, std::vector<std::string>{"--edge_classifier.fit.learning_rate", "0.02"})}) {
    auto const r = program(train_arguments(run, more));
    REQUIRE_MESSAGE(r.status == 0, r.err);
  }
  auto const record = record_of(first);
  REQUIRE(record["starts"].size() == 1);
  auto const& start = record["starts"][0];
  CHECK(start["outcome"] == "finished");
  CHECK(start["command"][0] == "small");
  CHECK(start["command"].back() == "--throughput");
  CHECK(start["threads"] == 1);
  CHECK(start["device"] == "cpu");
  auto const summary = record["summary"].get<std::string>();
  CHECK(summary.starts_with("small with seed 1 on 2 events: edges.auc 0."));
  CHECK(summary.find('\n') == std::string::npos);
  for (auto const* file : {"log.jsonl", "log.csv", "model.safetensors", "metrics.json"}) {
    CAPTURE(file);
    auto const bytes = read_file(first / file);
    CHECK(bytes.find(start["host"].get<std::string>()) == std::string::npos);
    CHECK(bytes.find(folder.path().string()) == std::string::npos);
  }
  CHECK(read_file(first / "config.toml").find(start["host"].get<std::string>()) == std::string::npos);

  auto const profile = nlohmann::json::parse(read_file(first / "profile" / "edge_classifier-steps2-3.json"));
  int stages = 0;
  for (auto const& event : profile["traceEvents"]) stages += event.value("name", "") == "edge_classifier" && event.value("ph", "") == "X";
  CHECK(stages >= 2);
  auto const log = log_of(first);
  CHECK(log[0]["kind"] == "epoch");
  CHECK(log[0]["learning_rate"].get<double>() > 0);
  CHECK(log[0]["time_edges_per_s"].get<double>() > 0);
  CHECK(log.back()["kind"] == "scanned");
  CHECK(log.back()["metric"] == "score_cut.mcc");

  auto const list = program({"runs", (folder / "runs").string()});
  REQUIRE_MESSAGE(list.status == 0, list.err);
  CHECK(list.out.starts_with("run     status    epochs  best_epoch  minutes  edges.auc  tracking.pt0.9.double_majority\n"));
  CHECK(list.out.find("\nsecond  finished       3 ") != std::string::npos);
  auto const compared = program({"runs", (folder / "runs").string(), "--compare", "first", "second"});
  CHECK(compared.out.find("\nedge_classifier.fit.learning_rate") != std::string::npos);
  CHECK(compared.out.find("edge_classifier.fit.watch") == std::string::npos);
  CHECK(program({"runs", (folder / "none").string()}).status == 1);
  auto const wrong = program({"runs", (folder / "runs").string(), "--sort", "edges.aux"});
  CHECK(wrong.status == 2);
  CHECK(wrong.err == "no run has a 'edges.aux'; the nearest is 'edges.auc'\n");
}

TEST_CASE("a misspelt figure is refused before anything is written") {
  TempDir const folder;
  auto const refusal = [&](std::string const& option, std::string const& figure) {
    auto const r = program(train_arguments(folder / "run", {"--" + option, figure}));
    CHECK(r.status == 2);
    CHECK(!fs::exists(folder / "run"));
    return r.err;
  };
  CHECK(refusal("edge_classifier.fit.watch", "edge.auc") ==
        "edge_classifier.fit.watch: 'edge.auc' is no figure of edges., tracking., loss.focal, loss.not_a_number\n");
  auto const listed = refusal("edge_classifier.fit.watch", "edges.aux");
  CHECK(listed.starts_with("edge_classifier.fit.watch: there is no figure 'edges.aux'; the nearest is 'edges.auc'; there are edges.auc, "));
  CHECK(listed.find(", edges.pt0.9.mcc, ") != std::string::npos);
  CHECK(refusal("checkpoint.metric", "tracking.pt0.9.perfekt").find("the nearest is 'tracking.pt0.9.perfect'") != std::string::npos);
  CHECK(refusal("score_cut.scan.metric", "score_cut.mmc").starts_with("score_cut.scan: expected score_cut.f1, "));
  CHECK(program(train_arguments(folder / "run", {"--edge_classifier.fit.watch", "edges.auc"})).status == 0);  // the folder is free
}

TEST_CASE("a step that failed is repeated by the command that the training said") {
  TempDir const folder;
  NotANumber::on = true;
  auto const failed = program(train_arguments(folder / "run", {"--edge_classifier.fit.clip_norm", "0.5"}));
  CHECK(failed.status == 1);
  auto const at = failed.err.find("repeat it with: small train --reproduce ");
  REQUIRE_MESSAGE(at != std::string::npos, failed.err);
  auto const file = failed.err.substr(at + 40, failed.err.find('\n', at) - at - 40);
  CHECK(fs::exists(file));
  auto const sentence = failed.err.substr(failed.err.find("the loss of edge_classifier is not finite: nan at event 2, epoch 2, step "));
  CHECK(record_of(folder / "run")["starts"][0]["outcome"] == "failed");
  CHECK(record_of(folder / "run")["summary"].get<std::string>().starts_with(
      "small: failed: the loss of edge_classifier is not finite: nan at event 2"));

  fs::rename(events(), events() + "-away");  // the event's record is in the file
  auto const again = program({"train", "--reproduce", file, "--quiet", "--threads", "1"});
  NotANumber::on = false;
  auto const fine = program({"train", "--reproduce", file, "--quiet"});
  fs::rename(events() + "-away", events());
  CHECK(again.status == 1);
  CHECK(again.err == sentence);
  CHECK(fine.status == 0);
  CHECK(fine.out.starts_with("event 2 goes through here: its loss is 0."));
  auto const with = program({"train", "--reproduce", file, "--seed", "3"});
  CHECK(with.status == 2);
  CHECK(with.err.starts_with("--reproduce takes everything from its file"));
  auto const no_checkpoint = program({"train", "--reproduce", (folder / "run" / "config.toml").string()});
  CHECK(no_checkpoint.status == 1);
}
