// Settings, counts, errors and devices: what CUDA's runtime tells of them.
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "card.h"

using namespace emulator;

namespace emulator {

std::recursive_mutex lock_;
std::map<std::string, long long> counts_;
thread_local int device_ = 0;
cudaError_t sticky_ = cudaSuccess;
std::set<std::pair<int, int>> peers_;
static thread_local cudaError_t last_error_ = cudaSuccess;

std::string setting(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value && *value ? value : otherwise;
}
std::string folder() {
  Dl_info info;
  dladdr(reinterpret_cast<void*>(&folder), &info);
  return std::filesystem::canonical(info.dli_fname).parent_path().parent_path().string();
}
std::string temporary() { return (std::filesystem::temp_directory_path() / "cuda_on_cpu_XXXXXX").string(); }

int device_count() {
  static const int count = [] {
    const char* visible = getenv("CUDA_VISIBLE_DEVICES");
    int n = atoi(setting("CUDA_ON_CPU_DEVICES", "2").c_str());
    if (!visible) return n;
    int seen = 0;
    std::stringstream parts(visible);
    for (std::string part; std::getline(parts, part, ',');) {
      if (part.empty() || part[0] == '-' || atoi(part.c_str()) >= n) break;
      ++seen;
    }
    return seen;
  }();
  return count;
}
int capability() {
  static const int value = atoi(setting("CUDA_ON_CPU_CAPABILITY", "90").c_str());
  return value;
}
size_t total_memory() {
  static const size_t value = strtoull(setting("CUDA_ON_CPU_MEMORY", "8589934592").c_str(), nullptr, 10);
  return value;
}
bool has_peers() {
  static const bool value = setting("CUDA_ON_CPU_PEERS", "0") == "1";
  return value;
}

cudaError_t gives(cudaError_t error) {
  if (error) last_error_ = error;
  return error;
}

static void (*told_of_waits_)(const char*) = nullptr;
void count(const char* kind, const char* name) {
  Guard guard(lock_);
  const std::string key = std::string(kind) + " " + name;
  ++counts_[key];
  if (told_of_waits_ && key.find("waits") != std::string::npos) told_of_waits_(key.c_str());
}
int current_device() { return device_; }
}  // namespace emulator

extern "C" {

// The counts so far, a line each; valid until the next call.
const char* cuda_on_cpu_counts() {
  Guard guard(lock_);
  static std::string text;
  text.clear();
  for (auto& [name, count] : counts_) text += std::to_string(count) + " " + name + "\n";
  return text.c_str();
}
// Calls a function at each wait, in the thread that waits; nullptr: no longer.
void cuda_on_cpu_tell_of_waits(void (*function)(const char*)) { told_of_waits_ = function; }

// Errors

static const std::map<int, std::pair<const char*, const char*>> errors_ = {
    {0, {"cudaSuccess", "no error"}},
    {1, {"cudaErrorInvalidValue", "invalid argument"}},
    {2, {"cudaErrorMemoryAllocation", "out of memory"}},
    {3, {"cudaErrorInitializationError", "initialization error"}},
    {9, {"cudaErrorInvalidConfiguration", "invalid configuration argument"}},
    {100, {"cudaErrorNoDevice", "no CUDA-capable device is detected"}},
    {101, {"cudaErrorInvalidDevice", "invalid device ordinal"}},
    {200, {"cudaErrorInvalidKernelImage", "device kernel image is invalid"}},
    {201, {"cudaErrorDeviceUninitialized", "invalid device context"}},
    {217, {"cudaErrorPeerAccessUnsupported", "peer access is not supported between these two devices"}},
    {400, {"cudaErrorInvalidResourceHandle", "invalid resource handle"}},
    {500, {"cudaErrorSymbolNotFound", "named symbol not found"}},
    {600, {"cudaErrorNotReady", "device not ready"}},
    {700, {"cudaErrorIllegalAddress", "an illegal memory access was encountered"}},
    {704, {"cudaErrorPeerAccessAlreadyEnabled", "peer access is already enabled"}},
    {719, {"cudaErrorLaunchFailure", "unspecified launch failure"}},
    {801, {"cudaErrorNotSupported", "operation not supported"}},
    {900, {"cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"}},
    {901, {"cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"}},
    {904, {"cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"}},
    {906, {"cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream"}},
    {907, {"cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"}},
    {908, {"cudaErrorStreamCaptureWrongThread", "attempt to terminate a thread-local capture sequence from another thread"}},
};
const char* cudaGetErrorName(cudaError_t error) {
  auto found = errors_.find(error);
  return found == errors_.end() ? "cudaErrorUnknown" : found->second.first;
}
const char* cudaGetErrorString(cudaError_t error) {
  auto found = errors_.find(error);
  return found == errors_.end() ? "unknown error" : found->second.second;
}
cudaError_t cudaGetLastError() {
  cudaError_t error = last_error_;
  last_error_ = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() { return last_error_; }

// Devices

cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return gives(*count ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* device) {
  if (!device_count()) return gives(cudaErrorNoDevice);
  return *device = device_, cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!device_count()) return gives(cudaErrorNoDevice);
  if (device < 0 || device >= device_count()) return gives(cudaErrorInvalidDevice);
  return device_ = device, cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  Guard guard(lock_);
  emulator::count("waits", "cudaDeviceSynchronize");
  if (cudaError_t error = waits_for_device()) return gives(error);
  return gives(sticky_);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= device_count()) return gives(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxBlockDimX: case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY: case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 232448; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = 65536; break;
    case cudaDevAttrComputeCapabilityMajor: *value = capability() / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = capability() % 10; break;
    case cudaDevAttrUnifiedAddressing: case cudaDevAttrManagedMemory: case cudaDevAttrCooperativeLaunch: *value = 1; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 0; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= device_count()) return gives(cudaErrorInvalidDevice);
  memset(properties, 0, sizeof *properties);
  snprintf(properties->name, sizeof properties->name, "CUDA on the CPU %d", device);
  for (int i = 0; i < 16; ++i) properties->uuid.bytes[i] = static_cast<char>(17 * device + i + 1);
  properties->totalGlobalMem = total_memory();
  properties->sharedMemPerBlock = 49152;
  properties->regsPerBlock = 65536;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  for (int i = 0; i < 3; ++i) properties->maxThreadsDim[i] = i < 2 ? 1024 : 64, properties->maxGridSize[i] = i ? 65535 : 2147483647;
  properties->major = capability() / 10;
  properties->minor = capability() % 10;
  properties->multiProcessorCount = 132;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->unifiedAddressing = 1;
  properties->pciBusID = device + 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  snprintf(text, length, "0000:%02x:00.0", device + 1);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* text) {
  unsigned domain, bus;
  if (sscanf(text, "%x:%x", &domain, &bus) != 2 || bus < 1 || static_cast<int>(bus) > device_count()) return gives(cudaErrorInvalidValue);
  return *device = static_cast<int>(bus) - 1, cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) { return *can = has_peers() && device != peer, cudaSuccess; }
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  if (!has_peers()) return gives(cudaErrorPeerAccessUnsupported);
  Guard guard(lock_);
  return gives(peers_.insert({device_, peer}).second ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled);
}
cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  Guard guard(lock_);
  return peers_.erase({device_, peer}), cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit) { return *value = 1024, cudaSuccess; }
cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
}  // extern "C"
