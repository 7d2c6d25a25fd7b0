// The driver: modules, which are shared libraries here, and launches of their kernels.
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <xmmintrin.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "card.h"

using namespace emulator;

namespace {

struct KernelInfo {  // as in cuda_on_cpu.h
  int (*run)(void** arguments, const unsigned* grid, const unsigned* block, void* shared);
  unsigned count;
  const unsigned* sizes;
  int has_float, has_double, is_ftz;
};
struct Module_ {
  void* library;
  int device;
};
struct Function_ {
  Module_* module;
  std::string name;
  KernelInfo* info;
  size_t most_shared = 49152;
};
std::set<Module_*> modules_;
std::map<std::string, void*> libraries_;

CUresult load(CUmodule* module, const std::string& image) {
  Guard guard(lock_);
  if (image.compare(0, 8, "CUONCPU1")) return CUDA_ERROR_INVALID_IMAGE;
  uint64_t size;
  memcpy(&size, image.data() + 8, 8);
  std::string name = temporary();
  char* path = &name[0];
  int file = mkstemp(path);
  if (file < 0 || write(file, image.data() + 16, size) != static_cast<ssize_t>(size)) return CUDA_ERROR_OUT_OF_MEMORY;
  close(file);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) fprintf(stderr, "CUDA on the CPU: %s\n", dlerror());
  unlink(path);
  if (!library) return CUDA_ERROR_INVALID_IMAGE;
  auto* made = new Module_{library, device_};
  modules_.insert(made);
  *module = reinterpret_cast<CUmodule>(made);
  emulator::count("modules", "loaded");
  return CUDA_SUCCESS;
}

int run(const Function_& function, void** arguments, const unsigned* grid, const unsigned* block, size_t shared) {
  KernelInfo& info = *function.info;
  unsigned before = _mm_getcsr();
  if (info.is_ftz && info.has_float && !info.has_double) _mm_setcsr(before | 0x8040);
  std::vector<char> memory(shared + 64, char(0xff));
  int error = info.run(arguments, grid, block, memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64);
  _mm_setcsr(before);
  if (error) {
    fprintf(stderr, "CUDA on the CPU: threads of %s wait for ever\n", function.name.c_str());
    sticky_ = cudaErrorLaunchFailure;
  }
  return error;
}

}  // namespace

extern "C" {

CUresult cuGetErrorName(CUresult error, const char** name) {
  static std::map<int, std::string> names;
  Guard guard(lock_);
  static const std::map<int, const char*> known = {{1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {100, "CUDA_ERROR_NO_DEVICE"}, {200, "CUDA_ERROR_INVALID_IMAGE"}, {400, "CUDA_ERROR_INVALID_HANDLE"}, {500, "CUDA_ERROR_NOT_FOUND"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {719, "CUDA_ERROR_LAUNCH_FAILED"}, {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}, {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}, {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"}};
  auto found = known.find(error);
  *name = found == known.end() ? (names[error] = "CUDA_ERROR_" + std::to_string(error)).c_str() : found->second;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char** text) { return *text = cudaGetErrorString(static_cast<cudaError_t>(error)), CUDA_SUCCESS; }
CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) { return *version = CUDART_VERSION, CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) { return *context = reinterpret_cast<CUcontext>(static_cast<intptr_t>(device_ + 4096)), CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext context) { return device_ = context ? static_cast<int>(reinterpret_cast<intptr_t>(context)) - 4096 : 0, CUDA_SUCCESS; }
CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice device) { return *context = reinterpret_cast<CUcontext>(static_cast<intptr_t>(device + 4096)), CUDA_SUCCESS; }
CUresult cuCtxDestroy_v2(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) { return *device = device_, CUDA_SUCCESS; }
CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  Guard guard(lock_);
  Stream* found = is_legacy(stream) ? nullptr : stream_of(stream);
  return *context = reinterpret_cast<CUcontext>(static_cast<intptr_t>((found ? found->device : device_) + 4096)), CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  auto* bytes = static_cast<const char*>(image);
  if (memcmp(bytes, "CUONCPU1", 8)) return CUDA_ERROR_INVALID_IMAGE;
  uint64_t size;
  memcpy(&size, bytes + 8, 8);
  return load(module, std::string(bytes, size + 16));
}
CUresult cuModuleLoad(CUmodule* module, const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return in ? load(module, all.str()) : CUDA_ERROR_FILE_NOT_FOUND;
}
CUresult cuModuleUnload(CUmodule module) {
  Guard guard(lock_);
  modules_.erase(reinterpret_cast<Module_*>(module));  // the library stays: graphs may have its kernels
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  Guard guard(lock_);
  auto* found = reinterpret_cast<Module_*>(module);
  void* info = dlsym(found->library, (std::string("cuda_on_cpu_kernel_") + name).c_str());
  if (!info) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(new Function_{found, name, static_cast<KernelInfo*>(info)});
  return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr* pointer, size_t* bytes, CUmodule module, const char* name) {
  Guard guard(lock_);
  void* found = dlsym(reinterpret_cast<Module_*>(module)->library, name);
  if (!found) return CUDA_ERROR_NOT_FOUND;
  ElfW(Sym)* symbol = nullptr;
  Dl_info info;
  dladdr1(found, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT);
  size_t size = symbol ? symbol->st_size : 8;
  if (pointer) *pointer = reinterpret_cast<CUdeviceptr>(found);
  if (bytes) *bytes = size;
  blocks_[reinterpret_cast<uintptr_t>(found)] = {size, device_, Kind::device};
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction) {
  return *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : attribute == CU_FUNC_ATTRIBUTE_NUM_REGS ? 32 : 0, CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    if (value > 232448) return CUDA_ERROR_INVALID_VALUE;
    reinterpret_cast<Function_*>(function)->most_shared = value;
  }
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int size, size_t) { return *blocks = std::max(1, 2048 / std::max(size, 1)), CUDA_SUCCESS; }
CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t, int) { return *grid = 264, *block = 1024, CUDA_SUCCESS; }

CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream stream, void** arguments, void** extra) {
  Guard guard(lock_);
  auto& function = *reinterpret_cast<Function_*>(handle);
  if (extra || !gx || !gy || !gz || !bx || !by || !bz || gx > 2147483647u || gy > 65535 || gz > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (bx > 1024 || by > 1024 || bz > 64 || static_cast<size_t>(bx) * by * bz > 1024 || shared > function.most_shared) return CUDA_ERROR_INVALID_VALUE;
  if (function.module->device != device_) return CUDA_ERROR_INVALID_HANDLE;
  KernelInfo& info = *function.info;
  size_t total = 0;
  for (unsigned i = 0; i < info.count; ++i) {
    total += (info.sizes[i] + 15) / 16 * 16;
    if (info.sizes[i] < 8) continue;
    void* pointer;  // of an array, perhaps, which must not be that of another device
    memcpy(&pointer, arguments[i], 8);
    const auto* block = block_of(pointer);
    if (block && block->second.kind == Kind::device && block->second.device != device_ && !peers_.count({device_, block->second.device})) {
      fprintf(stderr, "CUDA on the CPU: %s on device %d reads memory of device %d\n", function.name.c_str(), device_, block->second.device);
      sticky_ = cudaErrorIllegalAddress;
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
  }
  emulator::count("kernel", function.name.c_str());
  std::vector<unsigned> sizes = {gx, gy, gz, bx, by, bz};
  if (!emulator::is_capturing(stream))
    return static_cast<CUresult>(submit(stream, function.name, [&] { return run(function, arguments, &sizes[0], &sizes[3], shared); }));
  auto held = std::make_shared<std::vector<char>>(total + 16);
  std::vector<size_t> places;
  size_t place = (16 - reinterpret_cast<uintptr_t>(held->data()) % 16) % 16;
  for (unsigned i = 0; i < info.count; ++i) {
    places.push_back(place);
    memcpy(held->data() + place, arguments[i], info.sizes[i]);
    place += (info.sizes[i] + 15) / 16 * 16;
  }
  std::vector<std::pair<unsigned, uintptr_t>> needed;  // arguments that are arrays, and their memory
  for (unsigned i = 0; i < info.count; ++i) {
    void* pointer;
    if (info.sizes[i] >= 8) memcpy(&pointer, arguments[i], 8);
    if (const auto* block = info.sizes[i] >= 8 ? block_of(pointer) : nullptr) needed.push_back({i, block->first});
  }
  return static_cast<CUresult>(submit(stream, function.name, [=, copy = function] {
    for (auto& [i, base] : needed)
      if (!blocks_.count(base)) {
        fprintf(stderr, "CUDA on the CPU: %s in a graph: argument %u is memory that was freed after the capture\n", copy.name.c_str(), i);
        sticky_ = cudaErrorIllegalAddress;
        return 700;
      }
    std::vector<void*> given;
    for (size_t each : places) given.push_back(held->data() + each);
    return run(copy, given.data(), &sizes[0], &sizes[3], shared);
  }));
}
CUresult cuLaunchCooperativeKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuLinkCreate_v2(unsigned, CUjit_option*, void**, CUlinkState*) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuLinkAddData_v2(CUlinkState, CUjitInputType, void*, size_t, const char*, unsigned, CUjit_option*, void**) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuLinkAddFile_v2(CUlinkState, CUjitInputType, const char*, unsigned, CUjit_option*, void**) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuLinkComplete(CUlinkState, void**, size_t*) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuLinkDestroy(CUlinkState) { return CUDA_SUCCESS; }

}  // extern "C"
