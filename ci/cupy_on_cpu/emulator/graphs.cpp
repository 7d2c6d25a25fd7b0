// Captures and graphs: lists of what a launch will do, with the values of its arguments.
#include <fstream>

#include "card.h"

using namespace emulator;

namespace emulator {
std::set<Graph*> graphs_, executables_;
}

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Guard guard(lock_);
  if (is_legacy(stream)) return gives(cudaErrorStreamCaptureUnsupported);
  Stream* found = stream_of(stream);
  if (!found) return gives(cudaErrorInvalidResourceHandle);
  if (found->graph) return gives(cudaErrorIllegalState);
  found->graph = new Graph;
  found->is_origin = true;
  found->is_invalid = false;
  found->mode = mode;
  found->thread = pthread_self();
  emulator::count("graph", "capture");
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Guard guard(lock_);
  Stream* found = is_legacy(stream) ? nullptr : stream_of(stream);
  *graph = nullptr;
  if (!found || !found->graph || !found->is_origin) return gives(cudaErrorInvalidValue);
  Graph* captured = found->graph;
  bool is_invalid = found->is_invalid;
  for (Stream* each : streams_)
    if (each->graph == captured) is_invalid |= each->is_invalid, each->graph = nullptr;
  for (Event* each : events_)
    if (each->graph == captured) each->graph = nullptr;
  if (is_invalid) {
    delete captured;
    return gives(cudaErrorStreamCaptureInvalidated);
  }
  graphs_.insert(captured);
  *graph = reinterpret_cast<cudaGraph_t>(captured);
  counts_["graph nodes captured"] += captured->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Guard guard(lock_);
  Stream* found = is_legacy(stream) ? nullptr : stream_of(stream);
  if (is_legacy(stream))
    for (Stream* each : streams_)
      if (each->graph && !(each->flags & cudaStreamNonBlocking)) return gives(cudaErrorStreamCaptureImplicit);
  if (!found && !is_legacy(stream)) return gives(cudaErrorInvalidResourceHandle);
  *status = !found || !found->graph ? cudaStreamCaptureStatusNone : found->is_invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Graph*>(graph);
  if (!graphs_.count(found)) return gives(cudaErrorInvalidValue);
  auto* made = new Graph(*found);
  executables_.insert(made);
  *executable = reinterpret_cast<cudaGraphExec_t>(made);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Graph*>(executable);
  if (!executables_.count(found)) return gives(cudaErrorInvalidValue);
  emulator::count("graph", "launch");
  counts_["graph nodes run"] += found->nodes.size();
  return gives(submit(stream, "graph", [nodes = found->nodes] {
    for (auto& node : nodes)
      if (int error = node.work()) return error;
    return 0;
  }));
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Graph*>(graph);
  if (!graphs_.erase(found)) return gives(cudaErrorInvalidValue);
  delete found;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Graph*>(executable);
  if (!executables_.erase(found)) return gives(cudaErrorInvalidValue);
  delete found;
  return cudaSuccess;
}
cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char* path, unsigned) {
  Guard guard(lock_);
  std::ofstream out(path);
  out << "digraph {\n";
  int number = 0;
  for (auto& node : reinterpret_cast<Graph*>(graph)->nodes) out << "n" << number++ << " [label=\"" << node.name << "\"]\n";
  out << "}\n";
  return cudaSuccess;
}
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

}  // extern "C"
