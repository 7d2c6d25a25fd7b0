// Memory of devices and pinned memory, which is the host's, with whose it is; copies.
#include <cstdlib>
#include <cstring>

#include "card.h"

using namespace emulator;

namespace emulator {

std::map<uintptr_t, Block> blocks_;
std::vector<size_t> used_(64, 0);


const std::pair<const uintptr_t, Block>* block_of(const void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  auto next = blocks_.upper_bound(address);
  if (next == blocks_.begin()) return nullptr;
  --next;
  return address < next->first + next->second.size ? &*next : nullptr;
}
int device_of(const void* pointer, size_t bytes) {
  Guard guard(lock_);
  const auto* block = block_of(pointer);
  if (!block || reinterpret_cast<uintptr_t>(pointer) + bytes > block->first + block->second.size) return -1;
  return block->second.kind == Kind::pinned ? -1 : block->second.device;
}

}  // namespace emulator

namespace {

cudaError_t allocate(void** pointer, size_t size, Kind kind) {
  Guard guard(lock_);
  *pointer = nullptr;
  if (!size) return cudaSuccess;
  if (kind != Kind::pinned && used_[device_] + size > total_memory()) return cudaErrorMemoryAllocation;
  void* found = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  if (!found) return cudaErrorMemoryAllocation;
  memset(found, 0xff, size);  // not a number, as what is not initialized may be anything
  blocks_[reinterpret_cast<uintptr_t>(found)] = {size, device_, kind};
  if (kind != Kind::pinned) used_[device_] += size;
  *pointer = found;
  emulator::count("memory", kind == Kind::pinned ? "cudaHostAlloc" : "cudaMalloc");
  return cudaSuccess;
}
cudaError_t release(void* pointer) {
  Guard guard(lock_);
  if (!pointer) return cudaSuccess;
  auto found = blocks_.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == blocks_.end()) return cudaErrorInvalidValue;
  if (found->second.kind != Kind::pinned) used_[found->second.device] -= found->second.size;
  memset(pointer, 0xfe, found->second.size);
  blocks_.erase(found);
  free(pointer);
  return cudaSuccess;
}

cudaError_t check_copy(const void* target, const void* source, size_t size, cudaMemcpyKind kind) {
  const auto* to = block_of(target);
  const auto* from = block_of(source);
  bool to_device = to && to->second.kind != Kind::pinned, from_device = from && from->second.kind != Kind::pinned;
  if (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice)
    if (!to_device) return cudaErrorInvalidValue;
  if (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)
    if (!from_device) return cudaErrorInvalidValue;
  for (auto [block, pointer] : {std::pair(to, target), std::pair(from, source)})
    if (block && reinterpret_cast<uintptr_t>(pointer) + size > block->first + block->second.size) return cudaErrorInvalidValue;
  return cudaSuccess;
}
cudaError_t copy(void* target, const void* source, size_t size, cudaMemcpyKind kind, const void* stream, bool is_async) {
  Guard guard(lock_);
  if (!size) return cudaSuccess;
  if (cudaError_t error = check_copy(target, source, size, kind)) return error;
  if (!is_async)
    if (cudaError_t error = unsafe()) return error;
  static const char* const names[] = {"HtoH", "HtoD", "DtoH", "DtoD", "default"};
  emulator::count(is_async ? "memcpyAsync" : "memcpy (waits)", names[kind]);
  return submit(stream, "memcpy", [=] { return memmove(target, source, size), 0; });
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t size) {
  if (!device_count()) return gives(cudaErrorNoDevice);
  if (cudaError_t error = unsafe()) return gives(error);
  return gives(allocate(pointer, size, Kind::device));
}
cudaError_t cudaMallocManaged(void** pointer, size_t size, unsigned) { return gives(allocate(pointer, size, Kind::managed)); }
cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned) {
  if (cudaError_t error = unsafe()) return gives(error);
  return gives(allocate(pointer, size, Kind::pinned));
}
cudaError_t cudaFree(void* pointer) {
  if (cudaError_t error = unsafe()) return gives(error);
  if (cudaError_t error = pointer ? waits_for_device() : cudaSuccess) return gives(error);
  return gives(release(pointer));
}
cudaError_t cudaFreeHost(void* pointer) {
  if (cudaError_t error = unsafe()) return gives(error);
  return gives(release(pointer));
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  Guard guard(lock_);
  if (!device_count()) return gives(cudaErrorNoDevice);
  *total = total_memory();
  *available = *total - used_[device_];
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  return gives(copy(to, from, size, kind, nullptr, false));
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  return gives(copy(to, from, size, kind, stream, true));
}
cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, size_t size) {
  return gives(copy(to, from, size, cudaMemcpyDeviceToDevice, nullptr, false));
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t stream) {
  return gives(copy(to, from, size, cudaMemcpyDeviceToDevice, stream, true));
}
static cudaError_t set(void* pointer, int value, size_t size, cudaStream_t stream, const char* name) {
  Guard guard(lock_);
  if (!size) return cudaSuccess;
  if (emulator::device_of(pointer, size) < 0) return gives(cudaErrorInvalidValue);
  emulator::count("memset", name);
  return gives(submit(stream, "memset", [=] { return memset(pointer, value, size), 0; }));
}
cudaError_t cudaMemset(void* pointer, int value, size_t size) {
  if (cudaError_t error = unsafe()) return gives(error);
  return set(pointer, value, size, nullptr, "cudaMemset");
}
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t size, cudaStream_t stream) {
  return set(pointer, value, size, stream, "cudaMemsetAsync");
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  Guard guard(lock_);
  memset(attributes, 0, sizeof *attributes);
  const auto* block = block_of(pointer);
  if (!block) {
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;
    return cudaSuccess;
  }
  attributes->device = block->second.device;
  attributes->type = block->second.kind == Kind::device ? cudaMemoryTypeDevice : block->second.kind == Kind::pinned ? cudaMemoryTypeHost : cudaMemoryTypeManaged;
  attributes->devicePointer = const_cast<void*>(pointer);
  attributes->hostPointer = block->second.kind == Kind::device ? nullptr : const_cast<void*>(pointer);
  return cudaSuccess;
}
}  // extern "C"
