#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>
#include <sys/mman.h>

namespace troupe {

/// Memory that is looked into at random, by the hundred megabytes: pieces of 2 MiB and more ask the kernel for huge
/// pages, as with small ones each look costs a walk through page tables too, which are in no cache either. Where the
/// kernel has none it is plain memory.
template <class T>
class huge_page_allocator {
public:
  using value_type = T;
  static constexpr std::size_t page_bytes = std::size_t{2} << 20;

  huge_page_allocator() = default;
  template <class Other>
  huge_page_allocator(const huge_page_allocator<Other>&) {}

  T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T))
      throw std::bad_alloc();
    if (count * sizeof(T) < page_bytes)
      return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{alignof(T)}));
    auto bytes = (count * sizeof(T) + page_bytes - 1) / page_bytes * page_bytes;
    auto* out = std::aligned_alloc(page_bytes, bytes);
    if (out == nullptr)
      throw std::bad_alloc();
    madvise(out, bytes, MADV_HUGEPAGE); // advice: it may be refused
    return static_cast<T*>(out);
  }
  void deallocate(T* at, std::size_t count) noexcept {
    if (count * sizeof(T) < page_bytes)
      ::operator delete (at, std::align_val_t{alignof(T)});
    else
      std::free(at);
  }

  friend bool operator==(const huge_page_allocator&, const huge_page_allocator&) { return true; }
};

} // namespace troupe
