#pragma once

// A subtitle track that a player can switch on and off. Private to gpu/media.

#include "gpu/media/compose.hpp"
#include "gpu/media/mp4.hpp"

namespace troupe::media::av {

/// Writes cues as timed text (3GPP TS 26.245, "mov_text"), the form that MP4 players read.
class soft_subtitles {
public:
  soft_subtitles(const std::vector<cue>& cues, const std::string& language, mp4_file& into);
  /// Writes what begins before `seconds`.
  result<void> write_until(double seconds, mp4_file& into);

private:
  const std::vector<cue>* cues_;
  std::size_t next_ = 0;
  int stream_ = 0;
  packet_ptr packet_ = make_packet();
};

} // namespace troupe::media::av
