// How much memory tensors took of a card.

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <exception>

namespace {

// Null where CUDA was never used: then nothing was taken.
c10::DeviceAllocator *allocator() {
  auto *found = dynamic_cast<c10::DeviceAllocator *>(c10::GetAllocator(c10::DeviceType::CUDA));
  return found && found->initialized() ? found : nullptr;
}

} // namespace

// The peak is counted from now on, without what was taken before.
extern "C" void surgcam_memory_reset(int device) {
  try {
    if (auto *known = allocator())
      known->resetPeakStats(static_cast<c10::DeviceIndex>(device));
  } catch (const std::exception &) {
    // It stays unknown.
  }
}

// The most bytes that tensors had at once since then; -1 where nobody knows.
extern "C" int64_t surgcam_memory_peak(int device) {
  try {
    auto *known = allocator();
    if (!known)
      return -1;
    // The first of several counts is that of all memory.
    return known->getDeviceStats(static_cast<c10::DeviceIndex>(device)).allocated_bytes[0].peak;
  } catch (const std::exception &) {
    return -1;
  }
}
