// Every head's attention pattern, small.
#include <algorithm>

#include "core/run/analysis.h"
#include "core/run/lanes.h"
#include "core/run/pooling.h"

namespace glassbox {

namespace {

// Where the positions of pixel i begin.
int pixel_begin(int i, int length, int side) {
  return static_cast<int>(static_cast<int64_t>(i) * length / side);
}

}  // namespace

std::shared_ptr<const Thumbnails> make_thumbnails(const ModelConfig& config, const Step& step) {
  auto thumbnails = std::make_shared<Thumbnails>();
  const int length = step.length();
  const int side = std::min(length, kThumbnail);
  thumbnails->layers = config.layer_count();
  for (const LayerConfig& layer : config.layers) thumbnails->heads = std::max(thumbnails->heads, layer.heads);
  thumbnails->length = length;
  thumbnails->side = side;
  thumbnails->pooled = length > side;
  const size_t pixels = static_cast<size_t>(side) * static_cast<size_t>(side);
  thumbnails->weights.assign(static_cast<size_t>(thumbnails->layers * thumbnails->heads) * pixels, 0.0f);

  std::vector<PixelSpan> spans;
  for (int i = 0; i < side; ++i) spans.push_back({pixel_begin(i, length, side), pixel_begin(i + 1, length, side)});
  std::vector<float> greatest(static_cast<size_t>(length));  // over the queries of one row of pixels, by key
  std::vector<const Page*> pages(static_cast<size_t>(length));
  for (int layer = 0; layer < thumbnails->layers; ++layer) {
    for (int position = 0; position < length; ++position) {
      pages[static_cast<size_t>(position)] = step.page(Tap::attn_pattern, layer, position);
      if (!pages[static_cast<size_t>(position)]) return nullptr;
    }
    for (int head = 0; head < config.layers[static_cast<size_t>(layer)].heads; ++head) {
      float* out = thumbnails->weights.data() + static_cast<size_t>(layer * thumbnails->heads + head) * pixels;
      for (int i = 0; i < side; ++i, out += side) {
        const auto [begin, end] = spans[static_cast<size_t>(i)];
        std::fill_n(greatest.begin(), end, 0.0f);
        for (int query = begin; query < end; ++query) {
          take_greater(pages[static_cast<size_t>(query)]->head(query, head), greatest.data());
        }
        pool_row(std::span(spans).first(static_cast<size_t>(i) + 1), greatest.data(), out);
      }
    }
  }
  return thumbnails;
}

}  // namespace glassbox
