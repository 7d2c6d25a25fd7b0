// Streams and events.  Work is done when it is asked for, or noted by a capture, whose rules are CUDA's.
#include <cstdlib>
#include <cstring>

#include "card.h"

using namespace emulator;

namespace emulator {

std::set<Stream*> streams_;
std::set<Event*> events_;

bool is_legacy(const void* stream) { return !stream || stream == reinterpret_cast<void*>(1) || stream == reinterpret_cast<void*>(2); }
Stream* stream_of(const void* stream) {
  auto found = streams_.find(static_cast<Stream*>(const_cast<void*>(stream)));
  return found == streams_.end() ? nullptr : *found;
}

cudaError_t unsafe() {
  Guard guard(lock_);
  cudaError_t error = cudaSuccess;
  for (Stream* stream : streams_) {
    if (!stream->graph) continue;
    bool is_refused = stream->mode == cudaStreamCaptureModeGlobal ||
                      (stream->mode == cudaStreamCaptureModeThreadLocal && stream->thread == pthread_self());
    if (is_refused) stream->is_invalid = true, error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}
cudaError_t on_legacy() {  // the legacy stream waits for all but those that are non-blocking
  for (Stream* stream : streams_)
    if (stream->graph && !(stream->flags & cudaStreamNonBlocking)) {
      stream->is_invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
  return cudaSuccess;
}
cudaError_t waits_for_device() {
  cudaError_t error = cudaSuccess;
  for (Stream* stream : streams_)
    if (stream->graph && stream->device == device_) stream->is_invalid = true, error = cudaErrorStreamCaptureUnsupported;
  return error;
}

cudaError_t submit(const void* handle, std::string name, std::function<int()> work) {
  Guard guard(lock_);
  if (sticky_) return sticky_;
  if (is_legacy(handle)) {
    if (cudaError_t error = on_legacy()) return error;
    return static_cast<cudaError_t>(work());
  }
  Stream* stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream->device != device_ && name.rfind("memcpy", 0)) return cudaErrorInvalidResourceHandle;
  if (!stream->graph) return static_cast<cudaError_t>(work());
  if (stream->is_invalid) return cudaErrorStreamCaptureInvalidated;
  stream->graph->nodes.push_back({std::move(name), std::move(work)});
  return cudaSuccess;
}
int enqueue(void* stream, const char* name, std::function<void()> work) {
  count("library", name);
  return submit(stream, name, [work = std::move(work)] { return work(), 0; });
}
bool is_capturing(void* stream) {
  Guard guard(lock_);
  Stream* found = is_legacy(stream) ? nullptr : stream_of(stream);
  return found && found->graph;
}

}  // namespace emulator

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  Guard guard(lock_);
  auto* made = new Stream{device_, flags, priority};
  streams_.insert(made);
  *stream = reinterpret_cast<cudaStream_t>(made);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  Guard guard(lock_);
  Stream* found = stream_of(stream);
  return *flags = found ? found->flags : 0, cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  Guard guard(lock_);
  Stream* found = stream_of(stream);
  return *priority = found ? found->priority : 0, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Guard guard(lock_);
  Stream* found = stream_of(stream);
  if (!found) return gives(cudaErrorInvalidResourceHandle);
  streams_.erase(found);
  delete found;
  return cudaSuccess;
}
static cudaError_t look(cudaStream_t stream, const char* name) {
  Guard guard(lock_);
  emulator::count("waits", name);
  if (is_legacy(stream)) {
    if (cudaError_t error = on_legacy()) return gives(error);
    return gives(sticky_);
  }
  Stream* found = stream_of(stream);
  if (!found) return gives(cudaErrorInvalidResourceHandle);
  if (found->graph) return found->is_invalid = true, gives(cudaErrorStreamCaptureUnsupported);
  return gives(sticky_);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return look(stream, "cudaStreamSynchronize"); }
cudaError_t cudaStreamQuery(cudaStream_t stream) { return look(stream, "cudaStreamQuery"); }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return gives(submit(stream, "host function", [=] { return function(data), 0; }));
}
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function, void* data, unsigned) {
  Guard guard(lock_);
  Stream* found = stream_of(stream);
  if (found && found->graph) return found->is_invalid = true, gives(cudaErrorStreamCaptureUnsupported);
  return gives(submit(stream, "callback", [=] { return function(stream, cudaSuccess, data), 0; }));
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  Guard guard(lock_);
  auto* made = new Event{flags, device_};
  events_.insert(made);
  *event = reinterpret_cast<cudaEvent_t>(made);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Event*>(event);
  if (!events_.erase(found)) return gives(cudaErrorInvalidResourceHandle);
  delete found;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Event*>(event);
  if (!events_.count(found)) return gives(cudaErrorInvalidResourceHandle);
  Stream* on = is_legacy(stream) ? nullptr : stream_of(stream);
  if (!on && !is_legacy(stream)) return gives(cudaErrorInvalidResourceHandle);
  if (!on)
    if (cudaError_t error = on_legacy()) return gives(error);
  if ((on ? on->device : device_) != found->device) return gives(cudaErrorInvalidResourceHandle);
  found->graph = on ? on->graph : nullptr;
  found->is_recorded = true;
  found->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Guard guard(lock_);
  emulator::count("waits", "cudaEventSynchronize");
  if (!events_.count(reinterpret_cast<Event*>(event))) return gives(cudaErrorInvalidResourceHandle);
  return gives(reinterpret_cast<Event*>(event)->graph ? cudaErrorCapturedEvent : sticky_);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (cudaError_t error = unsafe()) return gives(error);
  Guard guard(lock_);
  if (!events_.count(reinterpret_cast<Event*>(event))) return gives(cudaErrorInvalidResourceHandle);
  return gives(reinterpret_cast<Event*>(event)->graph ? cudaErrorCapturedEvent : sticky_);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t last) {
  Guard guard(lock_);
  auto *a = reinterpret_cast<Event*>(first), *b = reinterpret_cast<Event*>(last);
  if (!events_.count(a) || !events_.count(b) || !a->is_recorded || !b->is_recorded) return gives(cudaErrorInvalidResourceHandle);
  if ((a->flags | b->flags) & cudaEventDisableTiming) return gives(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(b->time - a->time).count();
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Event*>(event);
  if (!events_.count(found)) return gives(cudaErrorInvalidResourceHandle);
  Stream* on = is_legacy(stream) ? nullptr : stream_of(stream);
  if (found->graph) {
    if (!on) return gives(cudaErrorStreamCaptureImplicit);
    if (!on->graph) on->graph = found->graph, on->is_origin = false, on->is_invalid = false;
  } else if (on && on->graph) {
    return on->is_invalid = true, gives(cudaErrorStreamCaptureUnsupported);  // cudaErrorStreamCaptureIsolation
  }
  return cudaSuccess;
}
}  // extern "C"
