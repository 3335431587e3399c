// SPDX-License-Identifier: BSL-1.0
// Records: tensors under typed keys, checked where they enter, selected and renumbered together.
#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/key.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// A slot that may be empty: what a policy's `MayRead` becomes inside the record that it is called with.
template <KeyLike K>
struct Maybe {};

/// The row of the record that a hit had before stages dropped hits. Written by the pipeline.
struct OriginalRow : Key<"original_row", Hits, Kind::integer, Shape<>, "row", "row of this hit before any hit was dropped"> {};
/// Which event of a batch a hit came from. Written by `collate`.
struct EventIndex : Key<"event_index", Hits, Kind::integer, Shape<>, "", "number of the event within a batch"> {};
namespace key {
inline constexpr Of<OriginalRow> original_row;
inline constexpr Of<EventIndex> event_index;
}  // namespace key

// Sentences: undefined types whose names are what a user reads when a program does not compile.
template <class Key, class Record> struct this_record_does_not_hold_the_key;
template <class Key, class Record> struct this_record_needs_a_tensor_for_each_of_its_keys_but_one_is_missing;

template <class... S> class Record;

namespace detail {
template <class S> struct Slot {
  using key = S;
  static constexpr bool maybe = false;
};
template <class K> struct Slot<Maybe<K>> {
  using key = K;
  static constexpr bool maybe = true;
};

template <class Wide, class New> struct MergedSlots;
template <class... S, class... Q> struct MergedSlots<Keys<S...>, Keys<Q...>> {
  // a slot that is written again becomes (or stays) a full key in its place; new keys follow
  using Kept = Keys<std::conditional_t<Keys<Q...>::template has<typename Slot<S>::key>, typename Slot<S>::key, S>...>;
  using type = UnionOf<Kept, Keys<Q...>>;
};
template <class Slots> struct RecordFrom;
template <class... S> struct RecordFrom<Keys<S...>> { using type = Record<S...>; };
template <class Reads, class MayRead> struct RecordWith;
template <class... K, class... M> struct RecordWith<Keys<K...>, Keys<M...>> { using type = Record<K..., Maybe<M>...>; };

void check_tensor(std::string_view name, Kind kind, int row_dim, std::initializer_list<std::int64_t> trailing, Tensor const& tensor);
template <class T> struct TrailingOf;
template <std::int64_t... n> struct TrailingOf<Shape<n...>> {
  static constexpr std::initializer_list<std::int64_t> sizes() { return list; }
  static constexpr std::initializer_list<std::int64_t> list{n...};
};
std::string key_row(std::string_view name, std::string_view domain, Kind kind, std::string_view unit, std::string_view help,
                    Tensor const& tensor);
std::string key_table(std::vector<std::string> const& rows);
}  // namespace detail

/// The record that holds exactly the keys of a set; with a second set, also slots that may be empty.
template <class KeySet, class MayRead = Keys<>>
using RecordOf = typename detail::RecordWith<KeySet, MayRead>::type;

/// Tensors under keys. Copying is cheap: tensors are shared, as everywhere in LibTorch.
///
/// A tensor is checked once, where it enters (construction, `with`, `merge`): its kind, its trailing shape, as many rows as its domain has,
/// one dtype for all reals, one device for all. A wider record converts to a narrower one by itself, which is how a policy gets what it reads.
template <class... S>
class Record {
 public:
  using Slots = Keys<S...>;
  /// The keys that are surely there (slots of `MayRead` are not among them).
  using KeySet = DifferenceOf<Keys<std::conditional_t<detail::Slot<S>::maybe, void, S>...>, Keys<void>>;
  template <class Q> static constexpr bool has = KeySet::template has<KeyOf<Q>>;
  template <class Q> static constexpr bool has_slot = (std::same_as<KeyOf<Q>, typename detail::Slot<S>::key> || ...);

  /// An empty record: every tensor undefined.
  Record() = default;

  /// One binding for each key, in any order: `Record<Position, Layer>{key::position = p, key::layer = l}`.
  template <class... Q> requires(sizeof...(Q) > 0)
  explicit Record(Binding<Q>... bindings) {
    (demand_binding<typename detail::Slot<S>::key, detail::Slot<S>::maybe, Q...>(), ...);
    ((slot<Q>() = std::move(bindings.value)), ...);
    check_tensors();
  }

  /// Narrowing: from a record that holds at least these keys. No check, no copy of data.
  template <class... Q> requires(!std::same_as<Record<Q...>, Record> &&
                                 ((Record<Q...>::template has<typename detail::Slot<S>::key> || detail::Slot<S>::maybe) && ...))
  Record(Record<Q...> const& wide) {  // NOLINT(google-explicit-constructor): a record is usable as any narrower one
    ((take<typename detail::Slot<S>::key>(wide)), ...);
  }

  /// The tensor under a key. Asking for a key that is not there does not compile.
  template <class Q> Tensor const& operator[](Q const&) const& {
    demand<KeyOf<Q>>();
    return values_[index_of<KeyOf<Q>>];
  }
  template <class Q> Tensor operator[](Q const&) && {
    demand<KeyOf<Q>>();
    return std::move(values_[index_of<KeyOf<Q>>]);
  }

  /// The tensor under a key, or null when this record does not hold it: how a policy asks for what it only may read.
  template <class Q> Tensor const* find(Q const&) const {
    if constexpr (has_slot<Q>) return values_[index_of<KeyOf<Q>>].defined() ? &values_[index_of<KeyOf<Q>>] : nullptr;
    else return nullptr;
  }

  /// A new record with these tensors added or replaced.
  template <class... Q> auto with(Binding<Q>... bindings) const { return merge(Record<Q...>(std::move(bindings)...)); }

  /// A new record with all keys of both; `other` wins where both hold a key.
  template <class... Q> auto merge(Record<Q...> const& other) const {
    if constexpr (sizeof...(Q) == 0) return *this;
    else {
      using Merged = typename detail::RecordFrom<typename detail::MergedSlots<Slots, typename Record<Q...>::KeySet>::type>::type;
      Merged merged;
      ((merged.template take<typename detail::Slot<S>::key>(*this)), ...);
      ((merged.template take<typename detail::Slot<Q>::key>(other)), ...);
      merged.check_tensors();
      return merged;
    }
  }

  /// The keys of `KeySet` alone. Those that are not here are left out.
  template <class Set> auto only() const { return RecordOf<IntersectionOf<KeySet, Set>>(*this); }

  /// The number of rows of a domain.
  template <class Domain> std::int64_t rows(Domain const& = {}) const {
    static_assert((std::same_as<typename detail::Slot<S>::key::Domain, Domain> || ...),
                  "this record holds no key of that domain, so that its number of rows is not known");
    std::int64_t n = -1;
    ((std::same_as<typename detail::Slot<S>::key::Domain, Domain> && n < 0 && slot<typename detail::Slot<S>::key>().defined()
          ? void(n = slot<typename detail::Slot<S>::key>().size(detail::Slot<S>::key::row_dim))
          : void()),
     ...);
    return n;
  }

  /// Keeps the rows of `domain` where `mask` [rows, bool] is true, in order, in every key of the domain, and renumbers every key that points
  /// into it: an edge whose hit is dropped is dropped too; any other value that pointed at a dropped row becomes −1.
  template <class Domain> Record select(Tensor const& mask, Domain const& = {}) const {
    check(mask.defined() && mask.dim() == 1 && mask.scalar_type() == at::kBool,
          "select on {}: expected a boolean mask with one value a row, got {} {}", Domain::name,
          mask.defined() ? at::toString(mask.scalar_type()) : "", shape_text(mask));
    if constexpr ((std::same_as<typename detail::Slot<S>::key::Domain, Domain> || ...)) {
      auto const n = rows<Domain>();
      check(n < 0 || mask.size(0) == n, "select on {}: expected a mask of {} rows, got {}", Domain::name, n, shape_text(mask));
    }
    Record out = *this;
    auto const kept = mask.nonzero().squeeze(1);
    if (kept.size(0) == mask.size(0)) return out;
    auto const number =
        at::where(mask, mask.cumsum(0) - 1, at::scalar_tensor(-1, mask.options().dtype(at::kLong)));  // [rows] new row or -1
    ((std::same_as<typename detail::Slot<S>::key::Domain, Domain> ? out.template keep_rows<typename detail::Slot<S>::key>(kept) : void()),
     ...);
    (out.template renumber<typename detail::Slot<S>::key, Domain>(number), ...);
    (out.template drop_dangling<typename detail::Slot<S>::key, Domain>(), ...);
    return out;
  }

  /// All tensors on a device, reals in `dtype` if it is given.
  Record to(at::Device device) const {
    Record out = *this;
    for (auto& value : out.values_)
      if (value.defined()) value = value.to(device);
    return out;
  }
  Record to(at::ScalarType real) const {
    check(real == at::kFloat || real == at::kDouble, "a record's reals are float or double, not {}", at::toString(real));
    Record out = *this;
    ((detail::Slot<S>::key::kind == Kind::real && out.slot<typename detail::Slot<S>::key>().defined()
          ? void(out.slot<typename detail::Slot<S>::key>() = out.slot<typename detail::Slot<S>::key>().to(real))
          : void()),
     ...);
    return out;
  }
  /// The same tensors without history: gradients stop here.
  Record detach() const {
    Record out = *this;
    for (auto& value : out.values_)
      if (value.defined()) value = value.detach();
    return out;
  }
  /// The device of the tensors (CPU for an empty record).
  at::Device device() const {
    for (auto const& value : values_)
      if (value.defined()) return value.device();
    return at::kCPU;
  }
  /// Bytes held by the tensors.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (auto const& value : values_)
      if (value.defined()) sum += value.nbytes();
    return sum;
  }

  /// Calls `f(key, tensor)` for every key that holds a tensor, in order.
  template <class F> void for_each(F&& f) const {
    ((slot<typename detail::Slot<S>::key>().defined() ? void(f(typename detail::Slot<S>::key{}, slot<typename detail::Slot<S>::key>()))
                                                      : void()),
     ...);
  }

  /// A table: one line a key with its domain, kind, shape, unit and meaning.
  std::string table() const {
    std::vector<std::string> rows;
    for_each([&]<class K>(K, Tensor const& t) { rows.push_back(detail::key_row(K::name, K::Domain::name, K::kind, K::unit, K::help, t)); });
    return detail::key_table(rows);
  }

  /// Checks every tensor by its key; throws `Error` naming key, what was expected and what came. Called wherever a tensor enters.
  void check_tensors() const {
    (check_key<typename detail::Slot<S>::key>(), ...);
    (check_domain<typename detail::Slot<S>::key>(), ...);
    check_common();
  }

 private:
  template <class... Q> friend class Record;

  template <class K> static constexpr void demand() {
    if constexpr (!has<K>) {
      this_record_does_not_hold_the_key<K, Record> sentence;
      (void)sentence;
    }
  }
  template <class K, bool maybe, class... Q> static constexpr void demand_binding() {
    if constexpr (!maybe && !Keys<Q...>::template has<K>) {
      this_record_needs_a_tensor_for_each_of_its_keys_but_one_is_missing<K, Record> sentence;
      (void)sentence;
    }
  }
  template <class K> static constexpr std::size_t index_of = [] {
    std::size_t at = 0, i = 0;
    ((std::same_as<K, typename detail::Slot<S>::key> ? void(at = i) : void(), ++i), ...);
    return at;
  }();
  template <class K> Tensor& slot() {
    if constexpr (!has_slot<K>) {
      this_record_does_not_hold_the_key<K, Record> sentence;
      (void)sentence;
    }
    return values_[index_of<K>];
  }
  template <class K> Tensor const& slot() const { return values_[index_of<K>]; }
  template <class K, class Other> void take(Other const& other) {
    if constexpr (Other::template has_slot<K> && has_slot<K>) {
      if (other.template slot<K>().defined()) values_[index_of<K>] = other.template slot<K>();
    }
  }
  template <class K> void keep_rows(Tensor const& kept) {
    if (auto& t = slot<K>(); t.defined()) t = t.index_select(K::row_dim, kept);
  }
  template <class K, class Domain> void renumber(Tensor const& number) {
    if constexpr (std::same_as<typename K::PointsInto, Domain>) {
      if (auto& t = slot<K>(); t.defined()) {
        auto const flat = t.reshape(-1);
        t = (number.size(0) == 0 ? at::full_like(flat, -1) : at::where(flat >= 0, number.index_select(0, flat.clamp_min(0)), flat))
                .reshape(t.sizes());
      }
    }
  }
  template <class K, class Domain> void drop_dangling() {
    if constexpr (std::same_as<typename K::PointsInto, Domain> && K::drops_row) {
      auto const& t = slot<K>();
      if (!t.defined()) return;
      auto const good = (t >= 0).movedim(K::row_dim, 0).unsqueeze(-1).flatten(1).all(1);
      if (!good.all().template item<bool>()) *this = select(good, typename K::Domain{});
    }
  }
  template <class K> void check_key() const {
    if (auto const& t = slot<K>(); t.defined())
      detail::check_tensor(K::name, K::kind, K::row_dim, detail::TrailingOf<typename K::Trailing>::sizes(), t);
  }
  template <class K> void check_domain() const {
    if (auto const& t = slot<K>(); t.defined()) {
      auto const n = rows<typename K::Domain>();
      check(t.size(K::row_dim) == n, "{}: expected {} rows, as the record's other keys of {} have, got {}", K::name, n, K::Domain::name,
            shape_text(t));
    }
  }
  void check_common() const {
    Tensor const* first = nullptr;
    Tensor const* real = nullptr;
    std::string_view first_name, real_name;
    for_each([&]<class K>(K, Tensor const& t) {
      if (!first) first = &t, first_name = K::name;
      check(t.device() == first->device(), "{}: on {}, but the record's {} is on {}", K::name, t.device().str(), first_name,
            first->device().str());
      if (K::kind != Kind::real) return;
      if (!real) real = &t, real_name = K::name;
      check(t.scalar_type() == real->scalar_type(), "{}: dtype {}, but the record's {} is {}; all reals of a record share one dtype",
            K::name, at::toString(t.scalar_type()), real_name, at::toString(real->scalar_type()));
    });
  }

  std::array<Tensor, sizeof...(S)> values_;
};

template <class... Q> Record(Binding<Q>...) -> Record<Q...>;

/// Joins events into one record for a model: rows one after the other, index-valued keys shifted, `EventIndex` added to the hits.
/// Only for models: losses, clusterers and metrics always see one event. Throws on an empty list.
template <class... S>
auto collate(std::vector<Record<S...>> const& events) {
  check(!events.empty(), "collate: expected at least one event");
  using Out = Record<S...>;
  auto joined = [&]<class K>(K) {
    std::vector<Tensor> parts;
    std::int64_t offset = 0;
    for (auto const& event : events) {
      auto t = event[K{}];
      if constexpr (!std::same_as<typename K::PointsInto, Nowhere>) {
        t = at::where(t >= 0, t + offset, t);
        offset += event.template rows<typename K::PointsInto>();
      }
      parts.push_back(std::move(t));
    }
    return set<K>(at::cat(parts, K::row_dim));
  };
  std::vector<Tensor> index;
  for (std::size_t i = 0; i < events.size(); ++i)
    index.push_back(at::full({events[i].template rows<Hits>()}, std::int64_t(i), at::TensorOptions(events[i].device()).dtype(at::kLong)));
  return Out(joined(S{})...).with(key::event_index = at::cat(index));
}

template <class... S> std::string format_as(Record<S...> const& record) { return record.table(); }

namespace detail {
inline void check_tensor(std::string_view name, Kind kind, int row_dim, std::initializer_list<std::int64_t> trailing,
                         Tensor const& tensor) {
  auto const dtype = tensor.scalar_type();
  bool const fits = kind == Kind::integer   ? dtype == at::kLong
                    : kind == Kind::boolean ? dtype == at::kBool
                                            : dtype == at::kFloat || dtype == at::kDouble;
  check(fits, "{}: expected {}, got dtype {}", name,
        kind == Kind::integer   ? "64-bit integers"
        : kind == Kind::boolean ? "booleans"
                                : "float or double",
        at::toString(dtype));
  bool shape = tensor.dim() == std::int64_t(trailing.size()) + 1;
  std::vector<std::string> expected;
  std::int64_t dim = 0;
  for (auto it = trailing.begin(); dim <= std::int64_t(trailing.size()); ++dim) {
    if (dim == row_dim) {
      expected.emplace_back("rows");
      continue;
    }
    auto const want = *it++;
    expected.push_back(want == any ? "any" : fmt::to_string(want));
    shape = shape && (want == any || tensor.size(dim) == want);
  }
  check(shape, "{}: expected shape [{}], got {}", name, fmt::join(expected, ", "), shape_text(tensor));
}

inline std::string key_row(std::string_view name, std::string_view domain, Kind kind, std::string_view unit, std::string_view help,
                           Tensor const& tensor) {
  return fmt::format("{:<22} {:<10} {:<8} {:<14} {:<8} {}", name, domain,
                     kind == Kind::real ? at::toString(tensor.scalar_type()) : kind_name(kind).data(), shape_text(tensor),
                     unit.empty() ? "-" : unit, help);
}
inline std::string key_table(std::vector<std::string> const& rows) {
  auto text = fmt::format("{:<22} {:<10} {:<8} {:<14} {:<8} {}\n", "key", "domain", "type", "shape", "unit", "meaning");
  for (auto const& row : rows) text += row + "\n";
  return text;
}
}  // namespace detail

}  // namespace dew
