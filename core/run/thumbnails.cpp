// Every head's attention pattern, small.
#include <algorithm>
#include <array>

#include "core/run/analysis.h"
#include "kernels/lanes.h"
#include "kernels/pattern_summary.h"

namespace glassbox {

namespace {

// A row of pixels, taken together from the pooled rows of its queries.
class PixelRow {
 public:
  explicit PixelRow(int width) : width_(width) {}
  void begin(float* out) {
    out_ = out;
    own_width_ = 0;
  }
  // A query with so many keys.
  void take(std::span<const float> pooled, int keys) {
    const int own_width = pooled_width(keys);
    if (own_width != own_width_) {
      finish();
      own_width_ = own_width;
      greatest_.fill(0);
    }
    values_ = (keys + own_width - 1) / own_width;
    take_greater(pooled.first(static_cast<size_t>(values_)), greatest_.data());
  }
  // What was taken since the width changed goes into the pixels.
  void finish() {
    const int together = own_width_ == 0 ? 1 : width_ / own_width_;
    for (int i = 0; own_width_ != 0 && i < values_; ++i) {
      float& pixel = out_[i / together];
      pixel = std::max(pixel, greatest_[static_cast<size_t>(i)]);
    }
  }

 private:
  int width_;
  float* out_ = nullptr;
  int own_width_ = 0, values_ = 0;  // of the queries since it changed; 0: there was none
  std::array<float, kPooledKeys> greatest_{};
};

}  // namespace

std::shared_ptr<const Thumbnails> make_thumbnails(const ModelConfig& config, const Step& step) {
  auto thumbnails = std::make_shared<Thumbnails>();
  const int length = step.length(), width = pooled_width(length), side = (length + width - 1) / width;
  thumbnails->layers = config.layer_count();
  for (const LayerConfig& layer : config.layers) thumbnails->heads = std::max(thumbnails->heads, layer.heads);
  thumbnails->length = length;
  thumbnails->width = width;
  thumbnails->side = side;
  const size_t pixels = static_cast<size_t>(side) * static_cast<size_t>(side);
  thumbnails->weights.assign(static_cast<size_t>(thumbnails->layers * thumbnails->heads) * pixels, 0.0f);

  PixelRow row(width);
  std::vector<const Page*> pages(static_cast<size_t>(length));
  for (int layer = 0; layer < thumbnails->layers; ++layer) {
    for (int position = 0; position < length; ++position) {
      pages[static_cast<size_t>(position)] = step.page(Tap::attn_pooled, layer, position);
      if (!pages[static_cast<size_t>(position)]) return nullptr;
    }
    for (int head = 0; head < config.layers[static_cast<size_t>(layer)].heads; ++head) {
      float* out = thumbnails->weights.data() + static_cast<size_t>(layer * thumbnails->heads + head) * pixels;
      for (int begin = 0; begin < length; begin += width, out += side) {
        row.begin(out);
        for (int query = begin; query < std::min(begin + width, length); ++query) {
          row.take(pages[static_cast<size_t>(query)]->head(query, head), query + 1);
        }
        row.finish();
      }
    }
  }
  return thumbnails;
}

}  // namespace glassbox
