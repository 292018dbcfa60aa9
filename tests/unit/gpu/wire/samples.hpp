#pragma once

// One message of every type, every field filled with something that is not its default.

#include "gpu/wire/messages.hpp"

#include <string>
#include <vector>

namespace troupe::wire::samples {

inline const std::string hash = std::string(63, 'a') + "7";
inline const attempt_ref ref{"01jq0000000000000000000000", 3, 1ull << 40};

inline artifact film() {
  return {"video", hash, 123456789, "video/mp4", {{"width", 848}, {"duration_s", 1.5}, {"x", "é"}}};
}
inline finished done() { return {ref, "cpu0", "scene/1", true, 1234, {film(), film()}, 567}; }
inline failed broke() { return {ref, "cpu0", "corrupt_input", "the film is broken", hash, 99}; }

inline std::vector<from_node> from_nodes() {
  hello h{1,
          1,
          "local",
          "session",
          {{"cpu0", "cpu", "a CPU", 2, 64, {"scene.video", "null.work"}}},
          {{"scene", "1", {{"scene.video", 128, true}}, false, "no fonts", "fonts-dejavu-core"}},
          {{ref, "cpu0"}},
          {done()},
          {broke()}};
  return {h,
          node_heartbeat{1700000000000},
          progress{ref, 0.25, "frame 10/41"},
          preview{ref, std::string("\xff\xd8\x00\x01", 4)},
          done(),
          broke(),
          fetch{hash, 512 << 10, 8},
          put{hash, 4096},
          put_chunk{hash, 512, std::string("\x00\x01\xfe", 3)},
          goodbye{"the node stops"}};
}

inline std::vector<to_node> to_nodes() {
  return {welcome{1, 500, 20'000},
          refused{"malformed frame"},
          head_heartbeat{1700000000001},
          assign{ref,
                 "cpu0",
                 "scene.video",
                 {{"prompt", "a fox"}, {"frames", 41}, {"list", {1, 2.5, nullptr, true}}},
                 {film()},
                 60'000},
          cancel{ref},
          acknowledge{ref},
          chunk{hash, 1024, 4096, "data", ""},
          put_ready{hash, 2048, 8, true, "mismatch"}};
}

} // namespace troupe::wire::samples
