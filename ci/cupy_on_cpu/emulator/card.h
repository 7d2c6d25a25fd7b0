// What the parts of the card share: its settings, and its state, which `lock_` guards.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "emulator.h"

#undef cudaGetDeviceProperties

namespace emulator {

extern std::recursive_mutex lock_;
using Guard = std::lock_guard<std::recursive_mutex>;
extern std::map<std::string, long long> counts_;

// Settings

std::string setting(const char* name, const char* otherwise);  // of the environment
std::string folder();                                         // that of the package
std::string temporary();                                      // a pattern for mkdtemp

// Devices

extern thread_local int device_;  // the current one
extern cudaError_t sticky_;       // after an error within a kernel, as of a context that is lost
extern std::set<std::pair<int, int>> peers_;
int device_count();
int capability();
size_t total_memory();
bool has_peers();
cudaError_t gives(cudaError_t error);  // notes it for cudaGetLastError

// Memory

enum class Kind { device, pinned, managed };
struct Block {
  size_t size;
  int device;
  Kind kind;
};
extern std::map<uintptr_t, Block> blocks_;
extern std::vector<size_t> used_;  // bytes of each device
const std::pair<const uintptr_t, Block>* block_of(const void* pointer);

// Streams and graphs

struct Node {
  std::string name;
  std::function<int()> work;
};
struct Graph {
  std::vector<Node> nodes;
};
struct Stream {
  int device;
  unsigned flags;
  int priority;
  Graph* graph = nullptr;   // that it captures
  bool is_origin = false;   // whether the capture began on it
  bool is_invalid = false;  // whether the capture is
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  pthread_t thread{};
};
struct Event {
  unsigned flags;
  int device;
  std::chrono::steady_clock::time_point time{};
  bool is_recorded = false;
  Graph* graph = nullptr;
};
extern std::set<Stream*> streams_;
extern std::set<Event*> events_;
extern std::set<Graph*> graphs_, executables_;
bool is_legacy(const void* stream);
Stream* stream_of(const void* stream);

// What CUDA does not allow while a capture is under way, and which makes the capture invalid.
cudaError_t unsafe();
cudaError_t on_legacy();         // the legacy stream waits for all but those that are non-blocking
cudaError_t waits_for_device();

// Does work at once, or notes it in the graph that the stream captures; `work` returns CUDA's error.
cudaError_t submit(const void* stream, std::string name, std::function<int()> work);

}  // namespace emulator
