// CUDA graphs: what a card was asked to do, recorded once and then asked for again in one call.
//
// libtorch's class for them lies in its library for CUDA, which the worker opens at run time and is not linked against. So its
// members are looked up by their names. They are those of the one libtorch that the worker takes (libtorch.rs, NEEDED_VERSION);
// where one is not found, there is no graph, and the caller asks for one step after another.

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using MemoryPool = std::pair<unsigned long long, unsigned long long>;

// cudaStreamCaptureModeThreadLocal: other threads may ask for memory meanwhile.
constexpr int CAPTURE_OF_THIS_THREAD = 1;

// Members of at::cuda::CUDAGraph. As functions they take the object first.
struct Members {
  void (*construct)(void *, bool keep_graph);
  void (*destroy)(void *);
  void (*capture_begin)(void *, MemoryPool, int mode);
  void (*capture_end)(void *);
  void (*replay)(void *);
};

template <typename Function> void find(Function &function, const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  if (!found)
    throw std::runtime_error(std::string("this libtorch has no ") + name);
  function = reinterpret_cast<Function>(found);
}

Members found_members() {
  Members members;
  find(members.construct, "_ZN2at4cuda9CUDAGraphC1Eb");
  find(members.destroy, "_ZN2at4cuda9CUDAGraphD1Ev");
  find(members.capture_begin, "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
  find(members.capture_end, "_ZN2at4cuda9CUDAGraph11capture_endEv");
  find(members.replay, "_ZN2at4cuda9CUDAGraph6replayEv");
  return members;
}

const Members &members() {
  static const Members found = found_members();
  return found;
}

struct Graph {
  // at::cuda::CUDAGraph has some 250 bytes.
  alignas(64) std::byte object[4096];

  Graph() { members().construct(object, false); }
  ~Graph() { members().destroy(object); }
  Graph(const Graph &) = delete;
};

// The stream that the calling thread asked on before.
struct OtherStream {
  c10::impl::VirtualGuardImpl guard{c10::DeviceType::CUDA};
  c10::Device device;
  c10::Stream before;

  explicit OtherStream(c10::DeviceIndex number)
      : device(c10::DeviceType::CUDA, number),
        before(guard.exchangeStream(guard.getStreamFromGlobalPool(device, false))) {}
  ~OtherStream() { guard.exchangeStream(before); }
  OtherStream(const OtherStream &) = delete;

  void wait() { guard.synchronizeDevice(device.index()); }
};

void tell(const std::exception &error, char *problem, size_t problem_size) {
  std::strncpy(problem, error.what(), problem_size - 1);
  problem[problem_size - 1] = 0;
}

} // namespace

// Calls `work` twice on a stream of its own: to choose and prepare what it needs, and to be recorded. `work` says whether it
// could do it. A graph to be replayed and freed; or null, and why in `problem`, ended by a 0.
extern "C" Graph *surgcam_graph_capture(int device, bool (*work)(void *), void *context, char *problem, size_t problem_size) {
  Graph *graph = nullptr;
  try {
    members();
    OtherStream stream(static_cast<c10::DeviceIndex>(device));
    stream.wait();
    if (!work(context))
      throw std::runtime_error("what was to be recorded failed");
    stream.wait();
    graph = new Graph();
    members().capture_begin(graph->object, MemoryPool(0, 0), CAPTURE_OF_THIS_THREAD);
    const bool is_done = work(context);
    members().capture_end(graph->object);
    if (!is_done)
      throw std::runtime_error("what was to be recorded failed");
    stream.wait();
    return graph;
  } catch (const std::exception &error) {
    tell(error, problem, problem_size);
    delete graph;
    return nullptr;
  }
}

// Asks for what was recorded, on the calling thread's stream.
extern "C" bool surgcam_graph_replay(Graph *graph, char *problem, size_t problem_size) {
  try {
    members().replay(graph->object);
    return true;
  } catch (const std::exception &error) {
    tell(error, problem, problem_size);
    return false;
  }
}

extern "C" void surgcam_graph_free(Graph *graph) {
  try {
    delete graph;
  } catch (const std::exception &) {
    // There is nobody who could do anything about it; the process ends soon.
  }
}
