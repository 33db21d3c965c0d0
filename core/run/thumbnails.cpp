// Every head's attention pattern, small.
#include <algorithm>

#include "core/run/analysis.h"

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

  for (int layer = 0; layer < thumbnails->layers; ++layer) {
    for (int i = 0; i < side; ++i) {
      for (int query = pixel_begin(i, length, side); query < pixel_begin(i + 1, length, side); ++query) {
        const Page* page = step.page(Tap::attn_pattern, layer, query);
        if (!page) return nullptr;
        for (int head = 0; head < page->heads(); ++head) {
          const std::span<const float> row = page->head(query, head);  // keys 0 … query
          float* out = thumbnails->weights.data() + static_cast<size_t>(layer * thumbnails->heads + head) * pixels +
                       static_cast<size_t>(i * side);
          for (int j = 0; j < side && pixel_begin(j, length, side) <= query; ++j) {
            const int end = std::min(pixel_begin(j + 1, length, side), query + 1);
            float greatest = out[j];
            for (int key = pixel_begin(j, length, side); key < end; ++key) {
              greatest = std::max(greatest, row[static_cast<size_t>(key)]);
            }
            out[j] = greatest;
          }
        }
      }
    }
  }
  return thumbnails;
}

}  // namespace glassbox
