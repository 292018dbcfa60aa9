#include "gpu/engines/speech/speech_engine.hpp"

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  troupe::engines::speak_if_asked(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
