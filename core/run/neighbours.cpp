// Nearest rows of the embedding table, and the cosines between the positions of a step.
#include <algorithm>
#include <cmath>

#include "core/run/analysis.h"
#include "kernels/lanes.h"

namespace glassbox {

namespace {

// Sums over a row run in eight vectors side by side: the order is fixed, and the chains of additions are short enough
// not to be what is waited for.
constexpr int64_t kBlock = 4 * kFloatLanes;

float sum(Lanes a, Lanes b, Lanes c, Lanes d) {
  const Lanes all = (a + b) + (c + d);
  return (all[0] + all[1]) + (all[2] + all[3]);
}

float dot_product(const float* x, const float* y, int64_t n) {
  Lanes s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    s0 += load_lanes(x + i) * load_lanes(y + i);
    s1 += load_lanes(x + i + kFloatLanes) * load_lanes(y + i + kFloatLanes);
    s2 += load_lanes(x + i + 2 * kFloatLanes) * load_lanes(y + i + 2 * kFloatLanes);
    s3 += load_lanes(x + i + 3 * kFloatLanes) * load_lanes(y + i + 3 * kFloatLanes);
  }
  float total = sum(s0, s1, s2, s3);
  for (; i < n; ++i) total += x[i] * y[i];
  return total;
}

// Both in one pass over memory, which is what takes the time. The norm is known.
RowCloseness compare(const float* x, const float* y, int64_t n, float norm) {
  Lanes s0{}, s1{}, s2{}, s3{}, t0{}, t1{}, t2{}, t3{};
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    const Lanes x0 = load_lanes(x + i), y0 = load_lanes(y + i), d0 = x0 - y0;
    const Lanes x1 = load_lanes(x + i + kFloatLanes), y1 = load_lanes(y + i + kFloatLanes), d1 = x1 - y1;
    const Lanes x2 = load_lanes(x + i + 2 * kFloatLanes), y2 = load_lanes(y + i + 2 * kFloatLanes), d2 = x2 - y2;
    const Lanes x3 = load_lanes(x + i + 3 * kFloatLanes), y3 = load_lanes(y + i + 3 * kFloatLanes), d3 = x3 - y3;
    s0 += x0 * y0;
    s1 += x1 * y1;
    s2 += x2 * y2;
    s3 += x3 * y3;
    t0 += d0 * d0;
    t1 += d1 * d1;
    t2 += d2 * d2;
    t3 += d3 * d3;
  }
  RowCloseness result{sum(s0, s1, s2, s3), norm, sum(t0, t1, t2, t3)};
  for (; i < n; ++i) {
    result.dot += x[i] * y[i];
    result.squared_distance += (x[i] - y[i]) * (x[i] - y[i]);
  }
  return result;
}

// The best `count` seen, best first. Ids come in ascending order, so a later one must be strictly better.
class BestList {
 public:
  BestList(std::vector<Neighbour>& list, size_t count) : list_(list), count_(count) { list_.reserve(count + 1); }
  void offer(float score, const Neighbour& neighbour) {
    if (list_.size() == count_ && !(count_ > 0 && score > scores_.back())) return;
    const auto at = std::upper_bound(scores_.begin(), scores_.end(), score, std::greater<float>());
    list_.insert(list_.begin() + (at - scores_.begin()), neighbour);
    scores_.insert(at, score);
    if (list_.size() > count_) {
      list_.pop_back();
      scores_.pop_back();
    }
  }

 private:
  std::vector<Neighbour>& list_;
  std::vector<float> scores_;  // descending
  size_t count_;
};

}  // namespace

std::shared_ptr<const EmbeddingTable> make_embedding_table(const Model& model) {
  auto table = std::make_shared<EmbeddingTable>();
  table->vocab = model.config().vocab;
  table->width = model.config().width;
  table->rows.resize(static_cast<size_t>(table->vocab) * static_cast<size_t>(table->width));
  table->norms.resize(static_cast<size_t>(table->vocab));
  for (int32_t id = 0; id < table->vocab; ++id) {
    float* row = table->rows.data() + static_cast<int64_t>(id) * table->width;
    model.embedding_row(id, row);
    table->norms[static_cast<size_t>(id)] = std::sqrt(dot_product(row, row, table->width));
  }
  return table;
}

Neighbour make_neighbour(int32_t id, const RowCloseness& row, float query_norm) {
  return {id, cosine_of(row.dot, query_norm, row.norm), row.dot, std::sqrt(row.squared_distance), row.norm};
}

Neighbours begin_neighbours(std::span<const float> query) {
  Neighbours found;
  found.query.assign(query.begin(), query.end());
  found.query_norm = std::sqrt(dot_product(query.data(), query.data(), static_cast<int64_t>(query.size())));
  return found;
}

void rank_rows(int vocab, const std::function<RowCloseness(int32_t)>& closeness_of, int32_t leave_out, int count,
               Neighbours& found) {
  const size_t listed = static_cast<size_t>(std::clamp(count, 0, vocab));
  BestList by_cosine(found.best[static_cast<size_t>(NearBy::cosine)], listed);
  BestList by_dot(found.best[static_cast<size_t>(NearBy::dot)], listed);
  BestList by_distance(found.best[static_cast<size_t>(NearBy::euclid)], listed);
  for (int32_t id = 0; id < vocab; ++id) {
    if (id == leave_out) continue;
    const RowCloseness row = closeness_of(id);
    const Neighbour neighbour = make_neighbour(id, row, found.query_norm);
    by_cosine.offer(neighbour.cosine, neighbour);
    by_dot.offer(neighbour.dot, neighbour);
    by_distance.offer(-row.squared_distance, neighbour);
  }
}

Neighbours find_neighbours(const EmbeddingTable& table, std::span<const float> query, int32_t leave_out, int count) {
  Neighbours found = begin_neighbours(query);
  const auto closeness_of = [&](int32_t id) {
    const float* row = table.rows.data() + static_cast<int64_t>(id) * table.width;
    return compare(query.data(), row, table.width, table.norms[static_cast<size_t>(id)]);
  };
  rank_rows(table.vocab, closeness_of, leave_out, count, found);
  return found;
}

std::shared_ptr<const CosineMatrix> make_cosine_matrix(const Model& model, const Step& step, int layer) {
  const int64_t width = model.config().width;
  const int begin = std::max(0, step.length() - kMaxCosineRows);
  const int length = step.length() - begin;
  std::vector<const float*> rows;
  rows.reserve(static_cast<size_t>(length));
  std::vector<float> embeddings(layer < 0 ? static_cast<size_t>(length * width) : 0);
  for (int position = begin; position < step.length(); ++position) {
    if (layer < 0) {
      const int32_t token = step.recipe.tokens[static_cast<size_t>(position)];
      float* const row = embeddings.data() + (position - begin) * width;
      model.embedding_row(token, row);
      rows.push_back(row);
      continue;
    }
    const Page* page = step.page(Tap::resid_post, layer, position);
    if (!page) return nullptr;
    rows.push_back(page->row_data(position));
  }
  auto matrix = std::make_shared<CosineMatrix>();
  matrix->layer = layer;
  matrix->length = length;
  matrix->begin = begin;
  const size_t n = static_cast<size_t>(length);
  matrix->cosine.resize(n * n);
  matrix->dots.resize(n * n);
  matrix->norms.resize(n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      matrix->dots[i * n + j] = matrix->dots[j * n + i] = dot_product(rows[i], rows[j], width);
    }
    matrix->norms[i] = std::sqrt(matrix->dots[i * n + i]);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      matrix->cosine[i * n + j] = cosine_of(matrix->dots[i * n + j], matrix->norms[i], matrix->norms[j]);
    }
  }
  return matrix;
}

}  // namespace glassbox
