#pragma once

// Text drawn into the corner of pictures. Private to gpu/media.

#include "gpu/media/filter_graph.hpp"
#include "gpu/media/media.hpp"

namespace troupe::media::av {

/// Draws one text into pictures of one size.
class stamp {
public:
  static result<stamp> open(int width, int height, const std::string& text);
  /// The picture with the text, valid until the next call.
  result<const AVFrame*> apply(const frame& picture);

private:
  filter_graph graph_;
  frame_ptr out_ = make_frame();
  std::int64_t next_ = 0;
};

} // namespace troupe::media::av
