// SPDX-License-Identifier: BSL-1.0
#include "dew/train/checkpoint.hpp"

#include <fstream>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
Checkpoint example() {
  Checkpoint c;
  c.weights = {{"model.weight", at::arange(6, at::kFloat).reshape({2, 3})}, {"model.steps", at::ones({1}, at::kLong)}};
  c.optimiser = {{"optimiser.model.weight.step", at::full({1}, 4, at::kLong)}, {"optimiser.model.weight.exp_avg", at::ones({2, 3})}};
  c.best = {{"model.weight", at::zeros({2, 3})}};
  c.scanned = at::full({2, 2}, 0.1, at::kDouble);
  c.random = at::arange(16, at::kByte);
  auto& s = c.state;
  s.part = 1, s.number = 123, s.epoch = 2, s.position = 3, s.step = 17, s.over = true;
  s.improvement = {-std::numeric_limits<double>::infinity(), 1.0 / 7, 4, 2, 0.1};
  s.seconds = 0.1 + 0.2, s.part_began = 1e-300, s.allotted = 1.0 / 3, s.epoch_loss = 1e22 + 2097152;
  s.epoch_terms = {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), -0.0, 5e-324};
  s.loss = 0.7, s.score = 2.0 / 3;
  s.tuned = {{"dbscan.eps", "0.30000000000000004"}, {"x.name", "\"a \\\"b\\\", c\""}};
  c.plan = {{{"pipeline", "a, b = c"}}, {{"b.y", "1"}, {"a.x", "\"\\\"dew.crc32\\\":\\\"00000000\""}}};
  c.model = {{"dew.schema", "1"}, {"dew.seed", "3"}};
  c.program = "find_tracks";
  c.logs = {{"log.jsonl", 1234567890123}, {"log.csv", 0}};
  c.callbacks["a.b (2)"] = {.values = {{"n", 0.1}}, .tensors = {{"x/y", at::ones({2})}}};
  c.callbacks["without"] = {.values = {}};
  c.failed_event = 12;
  c.record = {{"beta", at::zeros({3})}};
  return c;
}
bool same(std::map<std::string, Tensor> const& a, std::map<std::string, Tensor> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto const& x, auto const& y) {
    return x.first == y.first && x.second.dtype() == y.second.dtype() && at::equal(x.second, y.second);
  });
}
}  // namespace

TEST_CASE("a checkpoint comes back from its file, bit for bit") {
  TempDir const folder;
  auto const file = folder / "c";
  auto const c = example();
  write_file_atomically(file, checkpoint_bytes(c));
  auto const back = read_checkpoint(file);
  CHECK(same(c.weights, back.weights));
  CHECK(same(c.optimiser, back.optimiser));
  CHECK(same(c.best, back.best));
  CHECK(at::equal(c.scanned, back.scanned));
  CHECK(at::equal(c.random, back.random));
  CHECK(c.plan == back.plan);
  CHECK(c.model == back.model);
  CHECK(c.program == back.program);
  CHECK(c.logs == back.logs);
  REQUIRE(back.callbacks.size() == 2);
  CHECK(back.callbacks.at("a.b (2)").values == c.callbacks.at("a.b (2)").values);
  CHECK(same(back.callbacks.at("a.b (2)").tensors, c.callbacks.at("a.b (2)").tensors));
  CHECK(back.callbacks.at("without").values.is_null());
  CHECK(back.failed_event == 12);
  CHECK(same(c.record, back.record));
  CHECK(checkpoint_bytes(back) == checkpoint_bytes(c));  // the state too
  auto const &a = c.state, &b = back.state;
  CHECK(b.number == a.number);
  CHECK(b.over);
  CHECK(b.tuned == a.tuned);
  REQUIRE(b.epoch_terms.size() == a.epoch_terms.size());
  CHECK(std::isnan(b.epoch_terms[0]));
  for (std::size_t i = 1; i < 5; ++i)
    CHECK((b.epoch_terms[i] == a.epoch_terms[i] && std::signbit(b.epoch_terms[i]) == std::signbit(a.epoch_terms[i])));
  CHECK((b.seconds == a.seconds && b.part_began == a.part_began && b.allotted == a.allotted && b.epoch_loss == a.epoch_loss));
  CHECK((b.loss == a.loss && std::isnan(b.validation_loss) && b.improvement == a.improvement && b.score == a.score));

  Checkpoint least;
  least.weights = c.weights;
  write_file_atomically(file, checkpoint_bytes(least));
  CHECK(!read_checkpoint(file).scanned.defined());
}

TEST_CASE("the first event can be the one that failed, and none need be") {
  TempDir const folder;
  Checkpoint c;
  auto const read_back = [&] {
    write_file_atomically(folder / "c", checkpoint_bytes(c));
    return read_checkpoint(folder / "c").failed_event;
  };
  CHECK(read_back() == -1);
  c.failed_event = 0;
  CHECK(read_back() == 0);
}

TEST_CASE("weights whose name would be taken for something else are refused") {
  Checkpoint c;
  c.weights = {{"dew.best.weight", at::ones({1})}};
  CHECK_THROWS_WITH_AS((void)checkpoint_bytes(c), "a checkpoint's weights cannot be called 'dew.best.weight'", Error);
}

TEST_CASE("no byte of a checkpoint can change, be missing or be too many unnoticed") {
  TempDir const folder;
  auto const file = folder / "c";
  auto const good = checkpoint_bytes(example());
  auto const refused = [&](std::string const& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    try {
      (void)read_checkpoint(file);
    } catch (Error const& e) {
      CHECK(std::string(e.what()).starts_with(file.string()));
      CHECK(e.kind() == ErrorKind::input);
      return true;
    }
    return false;
  };
  REQUIRE(!refused(good));
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int flip : {1, 0x20, 0x80}) {  // 0x20: a letter's case
      auto bytes = good;
      bytes[at] = char(bytes[at] ^ flip);
      CAPTURE(at);
      CAPTURE(flip);
      CHECK(refused(bytes));
    }
  for (std::size_t size = 0; size < good.size(); size += 7) CHECK(refused(good.substr(0, size)));
  CHECK(refused(good + '\0'));
  // a whole file of something else
  CHECK(refused(safetensors_bytes({{{"x", at::ones({1})}}, {}})));
}
