// A frame that a node sends to the head.
#include "tests/fuzz/frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return try_frame<troupe::wire::from_node>(data, size,
                                            [](auto frame) { return troupe::wire::decode_from_node(frame); });
}
