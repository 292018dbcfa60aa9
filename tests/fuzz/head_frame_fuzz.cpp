// A frame that the head sends to a node.
#include "tests/fuzz/frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return try_frame<troupe::wire::to_node>(data, size, [](auto frame) { return troupe::wire::decode_to_node(frame); });
}
