// SPDX-License-Identifier: BSL-1.0
// The program as users meet it: commands, files, exit statuses and messages, with a small pipeline on small simulated events.
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/tiny_program.hpp"
#include "dew/core/safetensors.hpp"
#include "dew/event/csv.hpp"
#include "dew/event/safetensors_events.hpp"
#include "dew/event/trackml.hpp"
#include "dew/version.hpp"
#include "support/run_program.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::ProgramResult;
using dew::test::run_program;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
using Result = ProgramResult;

Result program(std::vector<std::string> arguments) {
  return run_program("tiny", arguments, [](int argc, char const* const* argv) { return dew::test::tiny_program(argc, argv, 1); });
}

/// Three small events, made once for all tests of this process.
std::string events() {
  static TempDir const folder;
  static bool const made =
      program({"simulate", "--out", folder.path().string(), "--select", "1-3", "--particles", "60", "--quiet"}).status == 0;
  REQUIRE(made);
  return folder.path().string();
}
std::vector<std::string> train_arguments(fs::path const& run) {
  return {"train", "--events", events(), "--train", "1-2", "--validate", "3", "--out", run.string(), "--quiet", "--threads", "1"};
}
void with(std::vector<std::string>& a, std::vector<std::string> const& more) { a.insert(a.end(), more.begin(), more.end()); }
}  // namespace

TEST_CASE("train writes a run folder that evaluate and run need nothing beside") {
  TempDir const folder;
  auto const run = folder.path() / "run";
  auto const trained = program(train_arguments(run));
  CHECK(trained.err == "");
  REQUIRE(trained.status == 0);
  CHECK(trained.out.find("double majority") != std::string::npos);
  CHECK(trained.out.find("eta_0_1") == std::string::npos);  // the figures that say most
  for (auto file : {"config.toml", "model.safetensors", "log.jsonl", "metrics.json"}) CHECK(fs::exists(run / file));
  CHECK(!fs::exists(run / "lock"));
  CHECK(std::distance(fs::directory_iterator(run / "checkpoints"), {}) == 1);  // the fit's best
  auto const json = nlohmann::json::parse(read_file(run / "metrics.json"));
  for (auto key : {"tracking.pt0.9.double_majority", "tracking.pt0.9.fake_double_majority", "edges.auc", "events", "version", "seed"})
    CHECK(json.contains(key));
  CHECK(read_file(run / "model.safetensors").find(folder.path().string()) == std::string::npos);

  auto const file = folder.path() / "score.json";
  auto const evaluated = program(
      {"evaluate", "--run", run.string(), "--events", events(), "--select", "3", "--json", file.string(), "--quiet", "--threads", "1"});
  REQUIRE(evaluated.status == 0);
  CHECK(nlohmann::json::parse(read_file(file)).at("edges.auc") == json.at("edges.auc"));
  CHECK(nlohmann::json::parse(read_file(file)).contains("tracking.eta_0_1.perfect"));
  CHECK(evaluated.out.find("eta_0_1") == std::string::npos);
  auto const in_full =
      program({"evaluate", "--run", run.string(), "--events", events(), "--select", "3", "--tables", "--quiet", "--threads", "1"});
  CHECK(in_full.out.find("eta_0_1") != std::string::npos);

  // hits alone are enough to run
  auto const bare = folder.path() / "bare";
  fs::create_directories(bare);
  fs::copy(fs::path(events()) / "event000000003-hits.csv", bare);
  auto const out = folder.path() / "tracks";
  std::vector<std::string> const command{"run",   "--run",      run.string(), "--events",  bare.string(),
                                         "--out", out.string(), "--quiet",    "--threads", "1"};
  REQUIRE(program(command).status == 0);
  auto const tracks =
      read_csv(out / "event000000003-tracks.csv", {{"hit_id", CsvColumn::Type::integer}, {"track_id", CsvColumn::Type::integer}});
  CHECK(tracks.integers("hit_id") == TrackMl{{.events = bare.string()}}.all_hit_ids(3));

  // finished events are kept; another pipeline's folder is refused
  auto const before = fs::last_write_time(out / "event000000003-tracks.csv");
  auto const again = program(command);
  CHECK(again.status == 0);
  CHECK(again.out.find("were there already") != std::string::npos);
  CHECK(fs::last_write_time(out / "event000000003-tracks.csv") == before);
  auto other = command;
  with(other, {"--connected_components.score_min", "0.9"});
  CHECK(program(other).status == 2);
  with(other, {"--force"});
  CHECK(program(other).status == 0);
}

TEST_CASE("shards write together what one program writes, each event once, and go on where they were") {
  TempDir const folder;
  auto const run = folder.path() / "run";
  REQUIRE(program(train_arguments(run)).status == 0);
  for (std::string const verb : {"run", "export"}) {
    CAPTURE(verb);
    auto const ending = verb == "run" ? "-tracks.csv" : ".safetensors";
    auto const predict = [&](std::string const& out, std::vector<std::string> const& more) {
      std::vector<std::string> command{
          verb, "--run", run.string(), "--events", events(), "--out", (folder.path() / (verb + out)).string(), "--quiet", "--threads", "1"};
      with(command, more);
      return program(command);
    };
    REQUIRE(predict("whole", {}).status == 0);
    auto const second = predict("shared", {"--shard", "2/2"});
    REQUIRE(second.status == 0);
    CHECK(second.out.find("shard 2/2: 1 events") == 0);
    auto const name = [&](int event) { return fmt::format("event{:09}{}", event, ending); };
    auto const shared = folder.path() / (verb + "shared"), whole = folder.path() / (verb + "whole");
    CHECK(!fs::exists(shared / name(1)));
    auto const before = fs::last_write_time(shared / name(2));
    REQUIRE(predict("shared", {"--shard", "1/2"}).status == 0);
    for (int const event : {1, 2, 3}) CHECK(read_file(shared / name(event)) == read_file(whole / name(event)));
    CHECK(fs::last_write_time(shared / name(2)) == before);
    fs::remove(shared / name(3));
    CHECK(predict("shared", {"--shard", "1/2"}).out.find("shard 1/2: 1 events") == 0);
    CHECK(fs::exists(shared / name(3)));
    CHECK(predict("shared", {"--shard", "3/2"}).err.find("--shard: expected something from 1/N to N/N") == 0);
    CHECK(predict("shared", {"--shard", "1/2", "--force"}).err.find("--force cannot be shared") == 0);
    // one that another shard has just begun to write is not taken for something else
    fs::create_directories(folder.path() / (verb + "begun"));
    std::ofstream(folder.path() / (verb + "begun") / "run.json.123-0.part") << "{";
    CHECK(predict("begun", {"--shard", "1/2"}).status == 0);
  }
}

TEST_CASE("processes that were started together divide the events to predict, and do not train without a back end") {
  TempDir const folder;
  auto const run = folder.path() / "run";
  REQUIRE(program(train_arguments(run)).status == 0);
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
  auto const tracks = program(
      {"run", "--run", run.string(), "--events", events(), "--out", (folder.path() / "tracks").string(), "--quiet", "--threads", "1"});
  auto const trained = program(train_arguments(folder.path() / "another"));
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
  ::unsetenv("OMPI_COMM_WORLD_RANK");
  CHECK(tracks.status == 0);
  CHECK(tracks.out.find("shard 1/2: 2 events") == 0);
  CHECK(trained.status == 2);
  CHECK(trained.err ==
        "this is process 1 of 2 that mpirun has started (OMPI_COMM_WORLD_SIZE), and this program was built without MPI, through which "
        "processes train "
        "together: configure it with -DDEW_MPI=ON, or start it once\n");
  CHECK(!fs::exists(folder.path() / "another"));
}

TEST_CASE("events come from the source that --source names") {
  TempDir const folder;
  auto const records = (folder / "records").string(), run = (folder / "run").string();
  write_safetensors_events(records, TrackMl{{.events = events()}}, std::vector<std::int64_t>{1, 2, 3});
  REQUIRE(program(train_arguments(run)).status == 0);
  auto const score = [&](std::vector<std::string> const& more) {
    auto const file = folder / "score.json";
    std::vector<std::string> arguments{"evaluate", "--run", run, "--select", "3", "--json", file.string(), "--quiet", "--threads", "1"};
    with(arguments, more);
    auto const result = program(arguments);
    CHECK_MESSAGE(result.status == 0, result.err);
    return nlohmann::json::parse(read_file(file));
  };
  CHECK(score({"--source", "safetensors", "--events", records}) == score({}));
  CHECK(score({"--events", records, "--source", "safetensors"}) == score({"--source", "trackml"}));  // in any order
  // trained on records: the run knows
  auto const other = (folder / "other").string();
  auto arguments = train_arguments(other);
  arguments[2] = records;
  with(arguments, {"--source", "safetensors"});
  REQUIRE(program(arguments).status == 0);
  CHECK(read_file(folder / "other/config.toml").find("\nsource = \"safetensors\"\n") != std::string::npos);
  CHECK(nlohmann::json::parse(read_file(folder / "other/metrics.json")) == nlohmann::json::parse(read_file(folder / "run/metrics.json")));
  CHECK(program({"evaluate", "--run", other, "--select", "3", "--quiet"}).status == 0);

  CHECK(program({"options"}).out.find("trackml|acts|safetensors") != std::string::npos);
  auto const err = [&](std::vector<std::string> const& a) {
    auto const result = program(a);
    CHECK(result.status != 0);
    return result.err;
  };
  CHECK(err({"train", "--out", "x", "--source", "root"}) == "source: expected one of trackml, acts, safetensors, got 'root'\n");
  CHECK(err({"train", "--out", "x", "--source", "acts"}).find("where are the events? say --events DIR") != std::string::npos);
  CHECK(err({"train", "--out", "x", "--source", "acts", "--events", records})
            .find("the source acts finds no events; the sources are trackml, acts, safetensors") != std::string::npos);
}

TEST_CASE("evaluate --metrics all scores in every style in one table - export writes what the stages write") {
  TempDir const folder;
  auto const run = (folder.path() / "run").string();
  REQUIRE(program(train_arguments(run)).status == 0);
  auto const file = folder.path() / "score.json";
  std::vector<std::string> const command{"evaluate", "--run",       run,       "--events",  events(),
                                         "--json",   file.string(), "--quiet", "--threads", "1"};
  auto own = command, all = command;
  own.insert(own.end(), {"--metrics", "own"}), all.insert(all.end(), {"--metrics", "all"});
  REQUIRE(program(own).status == 0);
  auto const before = nlohmann::json::parse(read_file(file));
  auto const scored = program(all);
  REQUIRE(scored.status == 0);
  for (auto const* words : {"one-to-one", "acorn", "trackml"}) CHECK_MESSAGE(scored.out.find(words) != std::string::npos, scored.out);
  auto const after = nlohmann::json::parse(read_file(file));
  for (auto const* figure : {"tracking.pt0.9.double_majority", "tracking.pt0.9.perfect", "edges.auc"})
    CHECK(before.at(figure) == after.at(figure));  // counted once
  for (auto const* figure : {"acorn.two_way.efficiency", "one_to_one.double_majority", "pooled.acorn.two_way.efficiency"})
    CHECK_MESSAGE(after.contains(figure), figure);
  for (auto* c : {&own, &all}) c->insert(c->end(), {"--tracking.eta_max", "1.5", "--tracking.pt_cuts_gev", "1.0"});
  REQUIRE(program(own).status == 0);
  auto const narrow = nlohmann::json::parse(read_file(file));
  auto const table = program(all);
  CHECK(table.out.find("reference") != std::string::npos);
  CHECK(narrow.at("tracking.pt1.particles") == nlohmann::json::parse(read_file(file)).at("tracking.pt1.particles"));
  for (auto const* figure : {"segments.whole", "upper_bound.double_majority", "score_scan.0.5.more_than_half"})
    CHECK_MESSAGE(after.contains(figure), figure);
  CHECK_FALSE(after.contains("latent_distances.objects"));  // there is no latent space

  auto some = command;
  some.insert(some.end(), {"--metrics", "score_scan,edges", "--score_scan.thresholds", "0.25,0.75"});
  auto const scan = program(some);
  REQUIRE(scan.status == 0);
  auto const few = nlohmann::json::parse(read_file(file));
  CHECK(few.at("edges.auc") == before.at("edges.auc"));
  CHECK(few.at("score_scan.0.25.edges") > few.at("score_scan.0.75.edges"));
  for (auto const* figure : {"segments.whole", "tracking.pt0.9.perfect", "score_scan.0.5.edges"}) CHECK_FALSE(few.contains(figure));
  CHECK_MESSAGE(scan.out.find("\n      0.99 ") != std::string::npos, scan.out);  // the targets

  auto charged = command;
  charged.insert(charged.end(), {"--metrics", "acorn", "--acorn.charge", "negative", "--acorn.primary", "true"});
  REQUIRE(program(charged).status == 0);
  CHECK(nlohmann::json::parse(read_file(file)).at("acorn.particles") < after.at("acorn.particles"));

  auto wrong = command;
  wrong.insert(wrong.end(), {"--metrics", "some"});
  CHECK(program(wrong).status == 2);
  CHECK(program(wrong).err.find("--metrics: expected own, styles, all or some of edges, tracking, acorn, ") == 0);

  auto const out = folder.path() / "exported";
  std::vector<std::string> const exporting{"export", "--run", run, "--events", events(), "--select", "3", "--out", out.string(), "--quiet"};
  REQUIRE(program(exporting).status == 0);
  auto const record = read_safetensors((out / "event000000003.safetensors").string());
  for (auto const* key : {"hit_id", "edge_index", "edge_score", "label"}) CHECK_MESSAGE(record.tensors.contains(key), key);
  CHECK_FALSE(record.tensors.contains("particle_id"));
  auto const written = fs::last_write_time(out / "event000000003.safetensors");
  auto const again = program(exporting);
  CHECK(again.status == 0);
  CHECK(again.out.find("0 events in ") == 0);
  CHECK(again.out.find("(1 events were there already)") != std::string::npos);
  CHECK(fs::last_write_time(out / "event000000003.safetensors") == written);
  auto with_truth = exporting;
  with(with_truth, {"--truth"});
  CHECK(program(with_truth).status == 2);  // is there already, without it
  auto others = with_truth;
  *std::find(others.begin(), others.end(), "3") = "2";
  CHECK(program(others).err.find("holds events of another run or of other options") != std::string::npos);
  with(with_truth, {"--force"});
  REQUIRE(program(with_truth).status == 0);
  CHECK(read_safetensors((out / "event000000003.safetensors").string()).tensors.contains("particle_id"));
}

TEST_CASE("an option that is in a run's weights, or would have no effect on it, is refused - others act") {
  TempDir const folder;
  auto const run = (folder / "run").string(), out = (folder / "out").string();
  REQUIRE(program(train_arguments(run)).status == 0);
  auto const use = [&](std::string const& verb, std::vector<std::string> const& more) {
    std::vector<std::string> a{verb, "--run", run, "--events", events(), "--select", "3", "--quiet", "--threads", "1"};
    with(a, more);
    return program(a);
  };
  auto const refusal = [&](std::string const& verb, std::vector<std::string> const& more) {
    auto const result = use(verb, more);
    CHECK(result.status == 2);
    CHECK(!fs::exists(out));
    return result.err;
  };
  auto const fixed =
      run + ": edge_classifier.hidden is 8, fixed by the training, and cannot become 9; leave it out, or train another run with it\n";
  CHECK(refusal("evaluate", {"--edge_classifier.hidden", "9"}) == fixed);
  CHECK(refusal("run", {"--edge_classifier.hidden", "9", "--out", out}) == fixed);
  CHECK(refusal("export", {"--edge_classifier.hidden", "9", "--out", out}) == fixed);
  CHECK(program({"submit", "--", "run", "--run", run, "--events", events(), "--out", out, "--edge_classifier.hidden", "9"}).err == fixed);
  auto const untouched = "; a run keeps what it was trained with: leave it out, or train another run\n";
  CHECK(refusal("evaluate", {"--connected_components.scan.steps", "9"}) ==
        std::string("evaluate --connected_components.scan.steps: would have no effect, it is an option of train") + untouched);
  CHECK(refusal("export", {"--edge_classifier.fit.epochs=9", "--out", out}) ==
        std::string("export --edge_classifier.fit.epochs: would have no effect, it is an option of train") + untouched);
  CHECK(refusal("run", {"--tracking.eta_max", "1", "--out", out}) ==
        "run --tracking.eta_max: would have no effect, it is an option of train, evaluate\n");
  CHECK(refusal("evaluate", {"--seed", "2"}) == std::string("evaluate --seed: would have no effect, it is an option of train") + untouched);
  CHECK(refusal("evaluate", {"--edge_classifier.hiden", "8"}).find("the nearest is --edge_classifier.hidden") != std::string::npos);

  // what the run has may be said; what acts goes on acting, also what a module keeps
  auto const file = folder / "score.json";
  auto const score = [&](std::vector<std::string> more) {
    with(more, {"--json", file.string()});
    auto const result = use("evaluate", more);
    CHECK_MESSAGE(result.status == 0, result.err);
    return nlohmann::json::parse(read_file(file));
  };
  auto const as_it_is = score({});
  CHECK(score({"--edge_classifier.hidden", "8", "--edge_classifier.layers", "1"}) == as_it_is);
  CHECK(score({"--connected_components.score_min", "0.99"}) != as_it_is);
  CHECK(score({"--tracking.eta_max", "1"}) != as_it_is);
  auto const rounded = score({"--edge_classifier.products", "bfloat16"});
  CHECK(rounded.at("edges.auc") != as_it_is.at("edges.auc"));
  CHECK(rounded.at("edges.auc").get<double>() == doctest::Approx(as_it_is.at("edges.auc").get<double>()).epsilon(0.02));
}

TEST_CASE("equal seeds give the same bytes, another seed others") {
  TempDir const folder;
  auto const model = [&](std::string const& name, std::vector<std::string> const& more) {
    auto a = train_arguments(folder.path() / name);
    with(a, more);
    REQUIRE(program(a).status == 0);
    return read_file(folder.path() / name / "model.safetensors");
  };
  auto const a = model("a", {});
  CHECK(a == model("b", {}));
  CHECK(a != model("c", {"--seed", "2"}));
}

TEST_CASE("an --out that holds something else is refused, and --force overwrites it") {
  TempDir const folder;
  auto const run = folder.path() / "run";
  fs::create_directories(run);
  write_file_atomically(run / "thesis.tex", "mine");
  auto a = train_arguments(run);
  auto const refused = program(a);
  CHECK(refused.status == 2);
  CHECK(refused.err.find("--force") != std::string::npos);
  CHECK(!fs::exists(run / "config.toml"));
  with(a, {"--force"});
  CHECK(program(a).status == 0);
  CHECK(read_file(run / "thesis.tex") == "mine");  // only files of a run are touched
  CHECK(program(train_arguments(run)).err.find("a finished run") != std::string::npos);
}

TEST_CASE("--init starts from a run's weights and epochs 0 freezes a stage") {
  TempDir const folder;
  REQUIRE(program(train_arguments(folder.path() / "a")).status == 0);
  auto a = train_arguments(folder.path() / "b");
  with(a, {"--init", (folder.path() / "a").string(), "--edge_classifier.fit.epochs", "0"});
  REQUIRE(program(a).status == 0);
  auto const x = read_safetensors(folder.path() / "a" / "model.safetensors").tensors,
             y = read_safetensors(folder.path() / "b" / "model.safetensors").tensors;
  REQUIRE(x.size() == y.size());
  for (auto const& [name, t] : x) CHECK(at::equal(t, y.at(name)));
}

TEST_CASE("--init_stages takes the weights of the stages that it names, and refuses others") {
  TempDir const folder;
  auto const first = (folder.path() / "a").string();
  REQUIRE(program(train_arguments(folder.path() / "a")).status == 0);
  auto const starting_from = [&](char const* out, std::string const& stages, std::vector<std::string> const& more) {
    auto a = train_arguments(folder.path() / out);
    with(a, {"--init", first, "--init_stages", stages, "--edge_classifier.fit.epochs", "0", "--seed", "7"});
    with(a, more);
    return program(a);
  };
  REQUIRE(starting_from("b", "edge_classifier", {}).status == 0);
  auto const x = read_safetensors(folder.path() / "a" / "model.safetensors").tensors,
             y = read_safetensors(folder.path() / "b" / "model.safetensors").tensors;
  for (auto const& [name, t] : x)
    if (name.starts_with("edge_classifier.")) CHECK(at::equal(t, y.at(name)));

  auto const unknown = starting_from("c", "edge_clasifier", {});
  CHECK(unknown.status == 2);
  CHECK(unknown.err.find("no stage 'edge_clasifier' has weights") != std::string::npos);
  auto const other_shape = starting_from("d", "edge_classifier", {"--edge_classifier.hidden", "5"});
  CHECK(other_shape.status != 0);
  CHECK(other_shape.err.find("edge_classifier.hidden is") != std::string::npos);
}

TEST_CASE("a configuration file sets options and flags override it") {
  TempDir const folder;
  auto const file = folder.path() / "c.toml";
  write_file_atomically(file, "seed = 5\n[edge_classifier]\nhidden = 6\n[edge_classifier.fit]\nlearning_rate = 0.5\n");
  auto a = train_arguments(folder.path() / "run");
  with(a, {"--config", file.string(), "--edge_classifier.fit.learning_rate", "0.001"});
  REQUIRE(program(a).status == 0);
  auto const config = read_file(folder.path() / "run" / "config.toml");
  for (auto line : {"seed = 5\n", "hidden = 6\n", "learning_rate = 0.001\n", "train = \"1-2\"\n"})
    CHECK(config.find(line) != std::string::npos);
}

TEST_CASE("bad usage ends with 2 and says what is meant") {
  TempDir const folder;
  auto const run = (folder.path() / "run").string();
  auto const err = [&](std::vector<std::string> const& a) {
    auto const r = program(a);
    CHECK(r.status == 2);
    return r.err;
  };
  CHECK(err({"train", "--out", run, "--edge_clasifier.hidden", "3"}).find("the nearest is --edge_classifier.hidden") != std::string::npos);
  CHECK(err({"train", "--out", run, "--edge_classifier.hidden", "x"}).find("edge_classifier.hidden: expected integer, got 'x'") !=
        std::string::npos);
  CHECK(err({"train", "--out", run}).find("--events DIR") != std::string::npos);
  CHECK(err({"train", "--events", events()}).find("--out") != std::string::npos);
  CHECK(err({"train", "--events", events(), "--out", run, "--minutes", "1", "--epochs", "1"}).find("exclude each other") !=
        std::string::npos);
  CHECK(err({"train", "--events", events(), "--out", run, "--train", "5-1"}).find("backwards") != std::string::npos);
  CHECK(err({"train", "--events", events(), "--out", run, "--device", "abacus"}).find("expected cpu or cuda") != std::string::npos);
  CHECK(err({"evaluate"}).find("--run") != std::string::npos);
  CHECK(err({"dance"}).size() > 0);
  CHECK(err({}).size() > 0);
  CHECK(!fs::exists(run));
}

TEST_CASE("bad input ends with 1, one line FILE:LINE: what, and nothing is written") {
  TempDir const folder;
  auto const broken = folder.path() / "events";
  auto const run = folder.path() / "run";
  auto const err = [&](std::function<void(std::string&)> const& breaking, std::string const& kind) {
    fs::remove_all(broken);
    fs::copy(events(), broken);
    auto const file = broken / ("event000000002-" + kind + ".csv");
    auto text = read_file(file);
    breaking(text);
    write_file_atomically(file, text);
    auto const r = program({"train", "--events", broken.string(), "--train", "1-2", "--out", run.string(), "--quiet"});
    CHECK(r.status == 1);
    CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
    CHECK(r.err.starts_with(file.string()));
    CHECK(!fs::exists(run));
    return r.err.substr(file.string().size());
  };
  auto const line = [](std::string const& text, int n) {  // start of the n-th line, from 1
    std::size_t at = 0;
    for (int i = 1; i < n; ++i) at = text.find('\n', at) + 1;
    return at;
  };
  CHECK(err([&](auto& t) { t.replace(t.find("hit_id"), 6, "hit_no"); }, "hits").find("hit_id") != std::string::npos);
  CHECK(err([&](auto& t) { t.insert(line(t, 5), "x"); }, "hits").starts_with(":5: "));
  CHECK(err([&](auto& t) { t.insert(line(t, 6), "7\n"); }, "hits").starts_with(":6: "));
  CHECK(err([&](auto& t) { t.insert(line(t, 7) - 1, ",1,2,3,4,5,6,7"); }, "hits").starts_with(":6: "));
  CHECK(err([&](auto& t) { t.insert(line(t, 4), t.substr(line(t, 3), line(t, 4) - line(t, 3))); }, "hits").find("hit_id") !=
        std::string::npos);
  CHECK(err([&](auto& t) { t.clear(); }, "hits").size() > 3);
  CHECK(err(
            [&](auto& t) {
              t.insert(line(t, 3), "99999999," + t.substr(t.find(',', line(t, 3)) + 1, line(t, 4) - t.find(',', line(t, 3)) - 1));
            },
            "truth")
            .starts_with(":3: "));
  CHECK(err([&](auto& t) { t.replace(line(t, 2), t.find(',', line(t, 2)) - line(t, 2), "nan"); }, "particles").starts_with(":2: "));
}

TEST_CASE("a run that is missing or was made by another program is refused") {
  TempDir const folder;
  auto const r = program({"evaluate", "--run", folder.path().string(), "--events", events()});
  CHECK(r.status == 1);
  CHECK(r.err.find("is no run folder") != std::string::npos);
  CHECK(program({"train", "--resume", folder.path().string()}).status == 1);
}

TEST_CASE("an unfinished run with equal options goes on by itself, and --resume needs nothing else") {
  TempDir const folder;
  auto const run = folder.path() / "run", whole = folder.path() / "whole";
  REQUIRE(program(train_arguments(whole)).status == 0);
  // what an interruption right after the configuration was written leaves behind
  fs::create_directories(run);
  write_file_atomically(run / "config.toml", read_file(whole / "config.toml"));
  REQUIRE(program({"train", "--resume", run.string(), "--quiet"}).status == 0);
  CHECK(read_file(run / "model.safetensors") == read_file(whole / "model.safetensors"));
  CHECK(program({"train", "--resume", run.string(), "--quiet"}).out.find("finished already") != std::string::npos);
  auto const third = folder.path() / "third";
  fs::create_directories(third);
  write_file_atomically(third / "config.toml", read_file(whole / "config.toml"));
  CHECK(program(train_arguments(third)).status == 0);
}

TEST_CASE("help, version and options are made from the options") {
  auto const help = program({"train", "--help"});
  CHECK(help.status == 0);
  for (auto words :
       {"--edge_classifier.hidden", "--connected_components.score_min", "--edge_classifier.loss.focal.weight", "--minutes", "[GeV]"})
    CHECK(help.out.find(words) != std::string::npos);
  CHECK(program({"--version"}).out.find(std::string(version)) != std::string::npos);
  auto const options = program({"options"});
  CHECK(options.status == 0);
  CHECK(options.out.find("edge_classifier.fit.learning_rate") != std::string::npos);
}

TEST_CASE("options --search-space lists what a search can set, and checks a file of ranges") {
  auto const all = program({"options", "--search-space", "json"});
  REQUIRE(all.status == 0);
  std::map<std::string, nlohmann::json> listed;
  auto const json = nlohmann::json::parse(all.out);
  for (auto const& option : json["options"]) listed[option["option"]] = option;
  CHECK(listed.at("edge_classifier.hidden")["range"] == "int 4..16 log");
  CHECK(listed.at("edge_classifier.loss.focal.weight")["range"] == "float 0.1..10.0 log");
  CHECK(listed.at("edge_classifier.fit.optimiser")["choices"].size() == 3);
  for (auto const* other : {"seed", "device", "source", "trackml.events", "checkpoint.keep_last", "log.wandb", "tracking.eta_max"})
    CHECK(!listed.contains(other));

  TempDir const folder;
  auto const file = (folder / "space.toml").string();
  write_file_atomically(file, "seed = \"choice 1 2 3\"\n[edge_classifier]\nhidden = \"int 4..16 log\"\n");
  auto const space = program({"options", "--search-space", "json", "--config", file});
  REQUIRE(space.status == 0);
  CHECK(nlohmann::json::parse(space.out)["space"].size() == 2);
  write_file_atomically(file, "[edge_classifier]\nhiden = \"int 4..16 log\"\n");
  auto const wrong = program({"options", "--search-space", "json", "--config", file});
  CHECK(wrong.status == 2);
  CHECK(wrong.err == file + ":2: there is no option 'edge_classifier.hiden'; the nearest is 'edge_classifier.hidden'\n");
  CHECK(program({"options", "--search-space", "xml"}).status == 2);
}

TEST_CASE("simulated events that are there are not overwritten unasked") {
  auto const r = program({"simulate", "--out", events(), "--select", "1"});
  CHECK(r.status == 2);
  CHECK(r.err.find("is there already") != std::string::npos);
}
