// Nearest rows on the device against a plain search on the host.
#include "core/run/row_finder.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox::testing {
namespace {

struct Lists {
  std::vector<RowCloseness> closeness;                             // [V]
  std::array<std::vector<NearestRow>, kNearnessMeasures> nearest;  // [count]
};

Lists run_nearest(const Tensor& table, const std::vector<float>& query, float query_norm, int32_t leave_out,
                  int count) {
  const DeviceWeights d_table(table, table.dtype == DType::f32 ? 0 : 2);
  const DeviceBuffer<float> d_query(query);
  const DeviceBuffer<RowCloseness> closeness(static_cast<size_t>(table.rows()));
  const DeviceBuffer<NearestRow> lists(static_cast<size_t>(kNearnessMeasures * count));
  run_on_device([&] {
    return cuda::nearest_rows(d_table.tensor, d_query.data(), query_norm, leave_out, count, closeness.data(),
                              lists.data(), nullptr);
  });
  Lists found{closeness.read(), {}};
  const std::vector<NearestRow> all = lists.read();
  for (size_t m = 0; m < kNearnessMeasures; ++m) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(m) * count;
    found.nearest[m].assign(first, first + count);
  }
  return found;
}

EmbeddingTable unpacked(const Tensor& table) {
  EmbeddingTable all{static_cast<int>(table.rows()), static_cast<int>(table.columns()), {}, {}};
  all.rows.resize(static_cast<size_t>(table.rows() * table.columns()));
  for (int64_t r = 0; r < table.rows(); ++r) {
    float* row = all.rows.data() + r * table.columns();
    dequantise_row(table.dtype, table.row(r), 0, table.columns(), row);
    double square = 0;
    for (int64_t c = 0; c < table.columns(); ++c) square += double{row[c]} * row[c];
    all.norms.push_back(static_cast<float>(std::sqrt(square)));
  }
  return all;
}

void check_nearest(const Tensor& table, const std::vector<float>& query, int32_t leave_out, int count) {
  const EmbeddingTable host = unpacked(table);
  const Neighbours plain = find_neighbours(host, query, leave_out, count);
  const Lists found = run_nearest(table, query, plain.query_norm, leave_out, count);
  for (int32_t id = 0; id < host.vocab; ++id) {
    const RowCloseness& row = found.closeness[static_cast<size_t>(id)];
    const float norm = host.norms[static_cast<size_t>(id)], scale = norm * plain.query_norm + 1e-6f;
    REQUIRE(std::fabs(row.norm - norm) <= 1e-5f * norm + 1e-9f);
    double dot = 0, square = 0;
    for (size_t c = 0; c < query.size(); ++c) {
      const double value = host.rows[static_cast<size_t>(id) * query.size() + c];
      dot += query[c] * value;
      square += (query[c] - value) * (query[c] - value);
    }
    REQUIRE(std::fabs(row.dot - dot) <= 1e-5 * static_cast<double>(scale));
    REQUIRE(std::fabs(row.squared_distance - square) <= 1e-5 * square + 1e-9);
  }
  // The lists are those that the host makes of the same closeness, to the last place.
  Neighbours ranked = begin_neighbours(query);
  rank_rows(
      host.vocab, [&](int32_t id) { return found.closeness[static_cast<size_t>(id)]; }, leave_out, count, ranked);
  for (size_t m = 0; m < kNearnessMeasures; ++m) {
    INFO("measure " << m);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      const NearestRow& row = found.nearest[m][i];
      REQUIRE(row.id == (i < ranked.best[m].size() ? ranked.best[m][i].id : -1));
      if (row.id < 0) continue;
      const RowCloseness& whole = found.closeness[static_cast<size_t>(row.id)];
      REQUIRE(row.closeness.dot == whole.dot);
      REQUIRE(row.closeness.norm == whole.norm);
      REQUIRE(row.closeness.squared_distance == whole.squared_distance);
    }
  }
}

TEST_CASE("nearest rows on the device are those of a plain search, in every format", "[parity][nearest][short]") {
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_1, DType::q5_0, DType::q6_k}) {
    const int64_t block = dtype_info(type).block_size, columns = block == 1 ? 37 : block == 32 ? 96 : 256;
    const RandomWeights table(type, 700, columns, 5);
    std::vector<float> query(static_cast<size_t>(columns));
    dequantise_row(type, table.tensor.row(77), 0, columns, query.data());
    INFO(dtype_info(type).name);
    under_schedules([&] { check_nearest(table.tensor, query, 77, 12); });
  }
}

TEST_CASE("lists of nearest rows with few rows, with many equal ones, and with a query of length 0",
          "[parity][nearest]") {
  for (const int64_t rows : {1, 2, 1023, 2100}) {
    std::vector<float> values = random_floats(static_cast<size_t>(rows * 5), 9);
    for (int64_t r = 1000; r < rows; ++r) std::copy_n(values.begin(), 5, values.begin() + r * 5);  // all equal to row 0
    if (rows > 30) std::fill_n(values.begin() + 150, 5, 0.0f);
    const Tensor table = make_tensor(values.data(), DType::f32, {rows, 5});
    const std::vector<float> first(values.begin(), values.begin() + 5), nothing(5, 0.0f), other = random_floats(5, 2);
    INFO(rows << " rows");
    under_schedules([&] {
      check_nearest(table, first, 0, 20);
      check_nearest(table, nothing, -1, 20);
      check_nearest(table, other, -1, kMostNearest);
    });
  }
}

TEST_CASE("neighbours of a model's tokens, found on the device", "[model][nearest]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::shared_ptr<const EmbeddingTable> table = make_embedding_table(*model);
  std::shared_ptr<RowFinder> finder;
  {
    const auto ops = make_cuda_ops(0);
    finder = RowFinder::make(std::make_shared<PlacedModel>(model, *ops), *ops);
  }
  REQUIRE(finder);  // it has outlived the engine that it came from
  for (const int32_t id : {0, 3, 41}) {
    std::vector<float> row(static_cast<size_t>(table->width));
    model->embedding_row(id, row.data());
    const Neighbours plain = find_neighbours(*table, row, id, 15);
    const Result<Neighbours> found = finder->find(row, id, 15);
    REQUIRE(found.ok());
    CHECK(found->query == plain.query);
    CHECK(found->query_norm == plain.query_norm);
    for (size_t m = 0; m < kNearnessMeasures; ++m) {
      REQUIRE(found->best[m].size() == plain.best[m].size());
      for (size_t i = 0; i < plain.best[m].size(); ++i) {
        const Neighbour &a = found->best[m][i], &b = plain.best[m][i];
        CHECK(a.id == b.id);
        CHECK(std::fabs(a.cosine - b.cosine) < 1e-6f);
        CHECK(std::fabs(a.dot - b.dot) < 1e-5f);
        CHECK(std::fabs(a.distance - b.distance) < 1e-5f);
        CHECK(std::fabs(a.norm - b.norm) < 1e-5f);
      }
    }
  }
  CHECK(RowFinder::make(std::make_shared<PlacedModel>(model, *make_reference_ops()), *make_reference_ops()) == nullptr);
}

}  // namespace
}  // namespace glassbox::testing
