// A second stream: work that does not wait behind what the card was asked for on the first one.

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <exception>
#include <map>

namespace {

using Guard = c10::impl::VirtualGuardImpl;

// Always the same one of a thread: each stream keeps memory of its own.
c10::Stream second_stream(const Guard &guard, c10::Device device) {
  thread_local std::map<c10::DeviceIndex, c10::Stream> streams;
  const auto known = streams.find(device.index());
  if (known != streams.end())
    return known->second;
  // Of high priority, for somebody waits for what is asked for there.
  const c10::Stream stream = guard.getStreamFromGlobalPool(device, true);
  streams.emplace(device.index(), stream);
  return stream;
}

} // namespace

// The calling thread's stream, while it asks on its second one.
struct Aside {
  Guard guard{c10::DeviceType::CUDA};
  c10::Device device;
  c10::Stream first;

  Aside(c10::DeviceIndex number, const c10::Event &after)
      : device(c10::DeviceType::CUDA, number), first(guard.getStream(device)) {
    const c10::Stream second = second_stream(guard, device);
    after.block(second);
    guard.exchangeStream(second);
  }
  // What is asked for on the first stream from now on finds everything done that was asked for on the second.
  void leave() {
    c10::Event done(c10::DeviceType::CUDA);
    done.record(guard.exchangeStream(first));
    done.block(first);
  }
};

// A mark behind all that the calling thread asked for so far; null where there are no marks.
extern "C" c10::Event *surgcam_mark(int device) {
  try {
    const Guard guard(c10::DeviceType::CUDA);
    auto *mark = new c10::Event(c10::DeviceType::CUDA);
    mark->record(guard.getStream(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device))));
    return mark;
  } catch (const std::exception &) {
    return nullptr;
  }
}

extern "C" void surgcam_mark_free(c10::Event *mark) { delete mark; }

// From now on the calling thread asks on its second stream, which waits for the mark; null where there is none.
extern "C" Aside *surgcam_aside_enter(int device, const c10::Event *after) {
  try {
    return new Aside(static_cast<c10::DeviceIndex>(device), *after);
  } catch (const std::exception &) {
    return nullptr;
  }
}

extern "C" void surgcam_aside_leave(Aside *aside) {
  try {
    aside->leave();
  } catch (const std::exception &) {
    // A card that fails says so again with the next call.
  }
  delete aside;
}
