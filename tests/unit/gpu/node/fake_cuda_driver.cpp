// Stands in for libcuda.so.1: three devices, of which the second does not say its name.

#include <cstddef>
#include <cstdio>

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGetCount(int* count) {
  *count = 3;
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetName(char* name, int length, int device) {
  std::snprintf(name, static_cast<std::size_t>(length), "Stand-in %d", device);
  return device == 1 ? 999 : 0;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = std::size_t{24} << 30;
  return 0;
}
}
