// SPDX-License-Identifier: BSL-1.0
#include "dew/core/safetensors.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "dew/event/schema.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

using namespace dew;

namespace {
bool same(Tensor const& a, Tensor const& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         at::equal(a.reshape(-1).view(at::kByte), b.contiguous().reshape(-1).view(at::kByte));
}
/// A file from a header's text and data.
std::string file_of(std::string const& header, std::string const& data) {
  std::uint64_t const size = header.size();
  return std::string(reinterpret_cast<char const*>(&size), 8) + header + data;
}
class Folder {
 public:
  /// What reading and mapping these bytes throw, without the file's name.
  std::string message(std::string const& bytes) const {
    auto const path = folder_ / "f.safetensors";
    write_file_atomically(path, bytes);
    auto const says = [&](auto&& read) -> std::string {
      try {
        read(path);
        return "no error";
      } catch (Error const& e) {
        CHECK(e.kind() == ErrorKind::input);
        std::string const text = e.what(), front = path.string() + ": ";
        CHECK(text.starts_with(front));
        return text.substr(front.size());
      }
    };
    auto const text = says(read_safetensors);
    CHECK(says(map_safetensors) == text);
    return text;
  }
  std::filesystem::path operator/(std::string const& name) const { return folder_ / name; }

 private:
  test::TempDir folder_;
};
HitRecord some_hits() {
  return HitRecord{key::hit_id = at::tensor({std::int64_t(1) << 60, std::int64_t(2)}), key::position = at::rand({2, 3}),
                   key::layer = at::tensor({std::int64_t(7), std::int64_t(8)}), key::hit_features = at::rand({2, 6})};
}
}  // namespace

TEST_CASE("the format is what it says: a file written by hand is read, and ours has the same bytes") {
  Folder const folder;
  std::string header =
      R"({"__metadata__":{"who":"me"},"a":{"data_offsets":[0,4],"dtype":"F32","shape":[]},"b":{"data_offsets":[4,20],"dtype":"I64","shape":[2,1]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  float const a = 1.5F;
  std::int64_t const b[] = {-1, (std::int64_t(1) << 60) + 1};
  std::string data(reinterpret_cast<char const*>(&a), 4);
  data.append(reinterpret_cast<char const*>(b), 16);
  write_file_atomically(folder / "f", file_of(header, data));
  auto const content = read_safetensors(folder / "f");
  CHECK(content.metadata == std::map<std::string, std::string>{{"who", "me"}});
  REQUIRE(content.tensors.size() == 2);
  CHECK(content.tensors.at("a").dim() == 0);
  CHECK(content.tensors.at("a").item<float>() == 1.5F);
  CHECK(same(content.tensors.at("b"), at::tensor({b[0], b[1]}).reshape({2, 1})));
  CHECK((safetensors_bytes(content) == file_of(header, data)));
}

TEST_CASE("every dtype, shape and stride comes back, and equal content has equal bytes") {
  Folder const folder;
  SafeTensors content;
  for (auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kByte, at::kBool}) {
    auto const name = std::string(at::toString(dtype));
    auto const values = (at::rand({4, 5, 3}) * 200).to(dtype == at::kBool ? at::kLong : dtype);
    auto const tensor = dtype == at::kBool ? values > 100 : values;
    content.tensors[name] = tensor;
    content.tensors[name + " scalar"] = tensor[1][2][0];
    content.tensors[name + " none"] = tensor.slice(1, 2, 2);
    content.tensors[name + " strided"] = tensor.transpose(0, 2).slice(1, 1, 5, 2);
  }
  content.tensors["ä \"quoted\"\n"] = at::rand({3});
  content.tensors["needs gradients"] = at::rand({3}).requires_grad_();
  content.metadata = {{"config", "{\"a\": 1}"}, {"ä", "ö\n"}, {"", ""}};
  write_safetensors(folder / "f", content);
  auto const back = read_safetensors(folder / "f");
  CHECK(back.metadata == content.metadata);
  REQUIRE(back.tensors.size() == content.tensors.size());
  for (auto const& [name, tensor] : content.tensors) {
    CAPTURE(name);
    CHECK(same(back.tensors.at(name), tensor.detach()));
  }
  CHECK((safetensors_bytes(back) == safetensors_bytes(content)));
  CHECK((safetensors_bytes(map_safetensors(folder / "f")) == safetensors_bytes(content)));
  write_safetensors(folder / "empty", {});
  CHECK(read_safetensors(folder / "empty").tensors.empty());
}

TEST_CASE("mapped tensors stand in the file, live as long as they are needed and never change it") {
  Folder const folder;
  SafeTensors content;
  content.tensors = {{"a", at::arange(100000, at::kLong)}, {"b", at::ones({3}, at::kBool)}, {"c", at::rand({1000})}};
  write_safetensors(folder / "f", content);
  auto mapped = map_safetensors(folder / "f").tensors;  // c stands at an odd place and is a copy
  for (auto const& [name, tensor] : content.tensors) CHECK(same(mapped.at(name), tensor));
  CHECK(std::bit_cast<std::uintptr_t>(mapped.at("a").const_data_ptr()) % 8 == 0);
  CHECK(std::bit_cast<std::uintptr_t>(mapped.at("c").const_data_ptr()) % 4 == 0);
  auto const a = mapped.at("a");
  mapped.clear();
  a.add_(1);
  CHECK(same(a, content.tensors.at("a") + 1));
  auto const again = map_safetensors(folder / "f");
  for (auto const& [name, tensor] : content.tensors) CHECK(same(again.tensors.at(name), tensor));
  write_safetensors(folder / "f", {{{"a", at::zeros({2})}}, {}});  // another file under the same name
  CHECK(same(again.tensors.at("a"), content.tensors.at("a")));
  std::filesystem::remove(folder / "f");
  CHECK(same(again.tensors.at("a"), content.tensors.at("a")));
  CHECK_THROWS_WITH_AS(map_safetensors(folder / "f"), doctest::Contains("no such file"), Error);
}

TEST_CASE("what cannot be written is refused") {
  CHECK_THROWS_WITH_AS(safetensors_bytes({{{"a", at::zeros({2}, at::kShort)}}, {}}),
                       "safetensors: tensor 'a' has dtype Short, which cannot be written", Error);
  CHECK_THROWS_WITH_AS(safetensors_bytes({{{"a", Tensor()}}, {}}), "safetensors: tensor 'a' is undefined", Error);
  CHECK_THROWS_AS(safetensors_bytes({{{"__metadata__", at::zeros({2})}}, {}}), Error);
  CHECK_THROWS_AS(safetensors_bytes({{}, {{"a", "\xff"}}}), Error);
}

TEST_CASE("malformed files are refused, each with its reason") {
  Folder const folder;
  auto const tensor = [](std::string const& entry, std::size_t bytes = 8) {
    return file_of("{\"a\":" + entry + "}", std::string(bytes, '\1'));
  };
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})")) == "no error");
  CHECK(folder.message("") == "truncated safetensors: it has 0 bytes, and its header's length alone takes 8");
  CHECK(folder.message("1234567") == "truncated safetensors: it has 7 bytes, and its header's length alone takes 8");
  CHECK(folder.message("hit_id,x,y,z\n1,2,3,4\n").starts_with("truncated safetensors (or none): its header has "));
  CHECK(folder.message(std::string(8, '\xff')) == "truncated safetensors (or none): its header has 18446744073709551615 bytes, the file 8");
  CHECK(folder.message(file_of("{", "")).starts_with("broken safetensors header: "));
  CHECK(folder.message(file_of("", "")).starts_with("broken safetensors header: "));
  CHECK(folder.message(file_of("[1]", "")) == "broken safetensors header: expected an object");
  CHECK(folder.message(file_of("{\"a\":\"\xff\"}", "")).starts_with("broken safetensors header: "));
  CHECK(folder.message(file_of(R"({"a":1,"a":2})", "")) == "broken safetensors header: 'a' stands twice");
  CHECK(folder.message(file_of(R"({"__metadata__":3})", "")) == "expected an object as __metadata__");
  CHECK(folder.message(file_of(R"({"__metadata__":{"x":3}})", "")) == "metadata 'x': expected text");
  CHECK(folder.message(tensor("3")) == "tensor 'a': expected dtype, shape and data_offsets");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2]})")) == "tensor 'a': expected dtype, shape and data_offsets");
  CHECK(folder.message(tensor(R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})")) == "tensor 'a': unknown dtype \"F31\"");
  CHECK(folder.message(tensor(R"({"dtype":4,"shape":[2],"data_offsets":[0,8]})")) == "tensor 'a': expected text as its dtype");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})")) ==
        "tensor 'a': expected non-negative integers as its shape");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,8]})")) ==
        "tensor 'a': expected non-negative integers as its shape");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})")) ==
        "tensor 'a': expected non-negative integers as its shape");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})")) ==
        "tensor 'a': expected two non-negative integers as its data_offsets");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})")) ==
        "tensor 'a': expected two non-negative integers as its data_offsets");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,9]})")) ==
        "tensor 'a': its bytes 0 to 9 are not inside the data, which has 8");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})")) ==
        "tensor 'a': its bytes 8 to 0 are not inside the data, which has 8");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})")) ==
        "tensor 'a': its shape needs more bytes than the file has");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})")) ==
        "tensor 'a': its shape [1] needs 4 bytes, its data_offsets give 8");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})")) ==
        "tensor 'a': its shape needs more bytes than the file has");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})")) ==
        "tensor 'a': its shape is too large");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,8]})")) ==
        "tensor 'a': its shape [0, 9223372036854775807] needs 0 bytes, its data_offsets give 8");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7)) ==
        "tensor 'a': its bytes 0 to 8 are not inside the data, which has 7");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 9)) == "1 bytes at its end belong to no tensor");
  CHECK(folder.message(tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})")) == "4 bytes before tensor 'a' belong to none");
  CHECK(
      folder.message(file_of(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                             std::string(8, 0))) == "tensor 'b': its bytes overlap with another's");
  CHECK(folder.message(file_of(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\2")) ==
        "tensor 'a': a boolean is neither 0 nor 1");
}

TEST_CASE("every truncation of a file is found") {
  Folder const folder;
  auto const bytes = safetensors_bytes({{{"a", at::rand({3})}, {"b", at::arange(4)}}, {{"k", "v"}}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK(folder.message(bytes.substr(0, size)) != "no error");
  }
  CHECK(folder.message(bytes) == "no error");
}

TEST_CASE("a record is saved under its keys' names, and loaded as the record it was") {
  Folder const folder;
  auto const hits = some_hits();
  save_record(folder / "hits", hits, {{"event", "7"}});
  auto const raw = read_safetensors(folder / "hits");
  CHECK(raw.metadata.at("event") == "7");
  CHECK(raw.tensors.size() == 4);
  CHECK(raw.tensors.contains("hit_features"));
  auto const back = load_record<HitRecord>(folder / "hits"), mapped = map_record<HitRecord>(folder / "hits");
  hits.for_each([&]<class K>(K, Tensor const& t) { CHECK(same(mapped[K{}], t)); });
  hits.for_each([&]<class K>(K, Tensor const& t) { CHECK(same(back[K{}], t)); });
  CHECK((load_record<HitRecord>([&] {
           save_record(folder / "double", hits.to(at::kDouble));
           return folder / "double";
         }())[key::position]
             .scalar_type() == at::kDouble));
}

TEST_CASE("a slot that may be empty is saved when it is not, and loaded when it is there") {
  Folder const folder;
  using Loose = RecordOf<Keys<Position>, Keys<Layer>>;
  Loose const full = some_hits();
  save_record(folder / "full", full);
  CHECK(load_record<Loose>(folder / "full").find(key::layer) != nullptr);
  save_record(folder / "bare", RecordOf<Keys<Position>>(some_hits()));
  CHECK(load_record<Loose>(folder / "bare").find(key::layer) == nullptr);
}

TEST_CASE("missing and unexpected names are listed - what does not fit its key is refused") {
  Folder const folder;
  auto const message = [&](SafeTensors const& content) {
    write_safetensors(folder / "r", content);
    try {
      load_record<RecordOf<Keys<HitId, Layer, Position>>>(folder / "r");
      return std::string("no error");
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::input);
      return std::string(e.what()).substr((folder / "r").string().size());
    }
  };
  auto const id = at::arange(2);
  CHECK(message({{{"hit_id", id}, {"layer", id}, {"position", at::zeros({2, 3})}}, {}}) == "no error");
  CHECK(message({{{"hit_id", id}, {"lair", id}, {"zed", id}}, {}}) ==
        ": is not the record that is asked for: missing layer, position; unexpected lair, zed");
  CHECK(message({{{"hit_id", id}, {"layer", id}}, {}}) == ": is not the record that is asked for: missing position");
  CHECK(message({{{"hit_id", id}, {"layer", id}, {"position", at::zeros({2, 3})}, {"zed", id}}, {}}) ==
        ": is not the record that is asked for: unexpected zed");
  CHECK(message({{{"hit_id", id}, {"layer", at::arange(3)}, {"position", at::zeros({2, 3})}}, {}}).starts_with(": layer: expected 2 rows"));
  CHECK(
      message({{{"hit_id", id}, {"layer", id}, {"position", at::zeros({2, 4})}}, {}}).starts_with(": position: expected shape [rows, 3]"));
  CHECK(message({{{"hit_id", id}, {"layer", id}, {"position", id}}, {}}).starts_with(": position: expected float or double"));
}

TEST_CASE("the reference files are read, and written back with the same content") {
  if (!test::golden("geometric_graph_default")) return;
  char const* root = std::getenv("DEW_GOLDEN_DIR");
  if (root == nullptr) root = DEW_GOLDEN_DEFAULT;
  Folder const folder;
  int files = 0;
  for (auto const& entry : std::filesystem::directory_iterator(root)) {
    if (entry.path().extension() != ".safetensors") continue;
    CAPTURE(entry.path().filename().string());
    auto const content = read_safetensors(entry.path());
    CHECK_FALSE(content.tensors.empty());
    write_safetensors(folder / "copy", content);
    auto const back = read_safetensors(folder / "copy");
    CHECK(back.metadata == content.metadata);
    bool equal = back.tensors.size() == content.tensors.size();
    for (auto const& [name, tensor] : content.tensors) equal = equal && same(back.tensors.at(name), tensor);
    CHECK(equal);
    ++files;
  }
  CHECK(files > 0);
  CHECK(read_safetensors(std::filesystem::path(root) / "geometric_graph_default.safetensors").metadata.contains("cuts"));
}
