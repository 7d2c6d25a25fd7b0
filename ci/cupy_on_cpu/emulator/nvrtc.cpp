// NVRTC: the real one checks a source, then g++ compiles it into a shared library.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "card.h"

using namespace emulator;

namespace {

struct Program {
  std::string source, log, image;
  std::vector<std::string> names;
  std::map<std::string, std::string> lowered;
};

std::string run_command(const std::vector<std::string>& command, const std::string& log_path, int* status) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::vector<char*> arguments;
  for (auto& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  pid_t child;
  *status = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ) ? 127 << 8 : -1;
  posix_spawn_file_actions_destroy(&actions);
  while (*status == -1 && waitpid(child, status, 0) < 0 && errno == EINTR) {}
  std::ifstream in(log_path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

// -O1 contracts a * b + c only with -fexpensive-optimizations.
const std::vector<std::string> OPTIONS = {"-std=gnu++17", "-O1", "-fexpensive-optimizations", "-fPIC", "-w", "-fno-strict-aliasing", "-fno-gnu-unique", "-march=x86-64-v3", "-DCUDA_ON_CPU"};

// What kernels that are kept depend on, beside their source.
std::string identity() {
  std::string text;
  for (auto& option : OPTIONS) text += option + "\n";
  for (const char* header : {"cuda_on_cpu.h", "cuda_on_cpu_kernel.h", "cuda_on_cpu_float.h"}) text += read(folder() + "/kernels/" + header);
  return std::to_string(std::hash<std::string>()(text));
}

// A precompiled header for these options, beside the library or in the temporary folder.
std::string precompiled(const std::vector<std::string>& options) {
  std::string text = identity();
  for (auto& option : options) text += option + "\n";
  std::string base = setting("CUDA_ON_CPU_CACHE", (folder() + "/headers").c_str()) + "/" + std::to_string(std::hash<std::string>()(text));
  std::string header = base + "/prelude.h";
  if (access((header + ".gch").c_str(), R_OK) == 0) return base;
  std::filesystem::create_directories(base);
  std::ofstream(header) << "#include <cuda_on_cpu.h>\n";
  std::vector<std::string> command = {"g++"};
  command.insert(command.end(), options.begin(), options.end());
  std::string temporary = base + "/" + std::to_string(getpid()) + ".gch";
  command.insert(command.end(), {"-x", "c++-header", header, "-o", temporary});
  int status;
  std::string log = run_command(command, base + "/log", &status);
  if (status) {
    fprintf(stderr, "CUDA on the CPU: the header does not compile\n%s\n", log.c_str());
    return "";
  }
  rename(temporary.c_str(), (header + ".gch").c_str());
  return base;
}

// The real NVRTC needs no card to compile: it says what a kernel must not have.
int check(Program& program, int count, const char* const* options) {
  if (setting("CUDA_ON_CPU_NVRTC", "1") == "0") return 0;
  std::string place = temporary();
  if (!mkdtemp(&place[0])) return 6;
  std::string base = place;
  std::ofstream(base + "/kernel.cu") << program.source;
  std::ofstream names(base + "/names");
  for (auto& name : program.names) names << name << "\n";
  names.close();
  std::string real = folder() + "/nvrtc";
  std::vector<std::string> command = {"env", "LD_LIBRARY_PATH=" + real, folder() + "/check", real + "/libnvrtc.so.13", base + "/kernel.cu", base + "/names"};
  command.insert(command.end(), options, options + count);
  int status;
  program.log = run_command(command, base + "/log", &status);
  std::filesystem::remove_all(base);
  if (!WIFEXITED(status) || WEXITSTATUS(status) >= 99) {
    fprintf(stderr, "CUDA on the CPU: NVRTC cannot be asked: status %d %s\n", status, program.log.c_str());
    return 0;
  }
  return WEXITSTATUS(status);
}

int compile(Program& program, int count, const char* const* given) {
  if (int error = check(program, count, given)) return error;
  bool fmad = true, ftz = false, has_macros = false, is_lto = false;
  std::vector<std::string> options = OPTIONS;
  options.push_back("-I" + folder() + "/kernels");
  for (int i = 0; i < count; ++i) {
    std::string option = given[i];
    if (option == "--fmad=false" || option == "-fmad=false") fmad = false;
    if (option == "-ftz=true" || option == "--ftz=true") ftz = true;
    if (option.rfind("-dlto", 0) == 0) is_lto = true;
    if (option.rfind("-I", 0) == 0) options.push_back(option);
    if (option.rfind("-D", 0) == 0) options.push_back(option), has_macros = true;
  }
  if (is_lto) return 6;
  options.push_back(fmad ? "-ffp-contract=fast" : "-ffp-contract=off");

  std::string source = program.source;
  static const std::regex dynamic(R"(extern\s+__shared__\s+([^;\[\]]*?)\s*(\w+)\s*\[\s*\]\s*;)");
  source = std::regex_replace(source, dynamic, "$1* const $2 = ($1*)cuda_on_cpu::dynamic;");
  std::string tail = "\n";
  static const std::regex kernel(R"((template\s*<[^;{}]*>\s*)?(?:extern\s*"C"\s*)?(?:static\s+|inline\s+)?__global__\s+(?:__launch_bounds__\s*\([^()]*\)\s*)?void\s+(?:__launch_bounds__\s*\([^()]*\)\s*)?(\w+)\s*\()");
  std::set<std::string> seen;
  for (std::sregex_iterator each(source.begin(), source.end(), kernel), end; each != end; ++each)
    if (!(*each)[1].matched && seen.insert((*each)[2]).second) tail += "CUDA_ON_CPU_KERNEL(" + (*each)[2].str() + ", " + (*each)[2].str() + ")\n";
  int number = 0;
  for (auto& name : program.names) {
    std::string lowered = "expression" + std::to_string(number++);
    program.lowered[name] = lowered;
    tail += "CUDA_ON_CPU_KERNEL(" + lowered + ", " + name + ")\n";
  }
  bool waits = source.find("__sync") != std::string::npos || source.find("__shfl") != std::string::npos || source.find("__shared__") != std::string::npos || source.find("cub/block") != std::string::npos || source.find("__ballot") != std::string::npos || source.find("cub::") != std::string::npos;
  // Which words it has, but for those that only give types other names.
  static const std::regex names("typedef (float float32|double float64);");
  const std::string words = std::regex_replace(program.source, names, "");
  auto has = [&](const char* pattern) { return std::regex_search(words, std::regex(pattern)); };
  const bool computes_in_float = has("\\bfloat(32)?\\b"), computes_in_double = has("\\b(double|float64)\\b");
  bool is_flushed = ftz && computes_in_float && !has("complex\\s*<|half|float16") &&
                    (computes_in_double || !fmad || !has("\\w\\s*\\*\\s*\\w[^;]*[+-]|[+-][^;]*\\w\\s*\\*\\s*\\w"));  // else it may be contracted

  std::string ready = has_macros || setting("CUDA_ON_CPU_PCH", "1") == "0" ? "" : precompiled(options);
  std::string place = temporary();
  if (!mkdtemp(&place[0])) return 6;
  std::string base = place, log;
  std::string first = ready.empty() ? "#include <cuda_on_cpu.h>\n" : "#include \"" + ready + "/prelude.h\"\n";
  int status;
  auto begin = std::chrono::steady_clock::now();
  for (;; is_flushed = false) {
    std::string head = std::string("#define CUDA_ON_CPU_WAITS ") + (waits ? "1" : "0") + "\n#define CUDA_ON_CPU_FTZ " + (ftz && !is_flushed ? "1" : "0") + "\n";
    std::string type = is_flushed ? "#define float cuda_on_cpu::Float\n#define __int_as_float(x) cuda_on_cpu::Float(__int_as_float(x))\n#define __uint_as_float(x) cuda_on_cpu::Float(__uint_as_float(x))\n" : "";
    std::ofstream(base + "/kernel.cpp") << first << head << "#include <cuda_on_cpu_kernel.h>\n" << type << "#line 1 \"kernel.cu\"\n" << source << tail;
    std::vector<std::string> command = {"g++"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"-shared", base + "/kernel.cpp", "-o", base + "/kernel.so", "-L" + folder() + "/lib", "-l:libcuda_on_cpu.so"});
    log = run_command(command, base + "/log", &status);
    emulator::count("modules", "compiled");
    if (!status || !is_flushed) break;
    emulator::count("modules", "compiled without flushing float in double");
    if (setting("CUDA_ON_CPU_VERBOSE", "0") == "1") fprintf(stderr, "CUDA on the CPU: not with own floats:\n%s\n%s\n", source.c_str(), log.c_str());
  }
  counts_["milliseconds of g++"] += std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
  std::string keep = setting("CUDA_ON_CPU_KEEP", "");
  if (!keep.empty()) std::filesystem::copy_file(base + "/kernel.cpp", keep + "/" + (seen.empty() ? "none" : *seen.begin()) + "_" + base.substr(base.size() - 6) + ".cpp");
  if (!status) {
    std::string library = read(base + "/kernel.so");
    uint64_t size = library.size();
    program.image = "CUONCPU1" + std::string(reinterpret_cast<char*>(&size), 8) + library;
  } else {
    program.log += "\nCUDA on the CPU: g++ refuses what NVRTC accepts (a gap of the emulator)\n" + log;
    fprintf(stderr, "%s\n", program.log.c_str());
  }
  std::filesystem::remove_all(base);
  return program.image.empty() ? 6 : 0;
}

}  // namespace

extern "C" {
const char* nvrtcGetErrorString(int error) {
  static const char* const names[] = {"NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE", "NVRTC_ERROR_INVALID_INPUT", "NVRTC_ERROR_INVALID_PROGRAM", "NVRTC_ERROR_INVALID_OPTION", "NVRTC_ERROR_COMPILATION"};
  return error >= 0 && error < 7 ? names[error] : "NVRTC_ERROR_INTERNAL_ERROR";
}
int nvrtcVersion(int* major, int* minor) { return *major = CUDART_VERSION / 1000, *minor = CUDART_VERSION % 1000 / 10; }
int nvrtcGetNumSupportedArchs(int* count) { return *count = 1, 0; }
int nvrtcGetSupportedArchs(int* number) { return *number = capability(), 0; }
int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char* const*, const char* const*) { return *program = new Program{source}, 0; }
int nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, 0; }
int nvrtcAddNameExpression(Program* program, const char* name) { return program->names.push_back(name), 0; }
int nvrtcGetLoweredName(Program* program, const char* name, const char** lowered) {
  auto found = program->lowered.find(name);
  if (found == program->lowered.end()) return 8;
  return *lowered = found->second.c_str(), 0;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  if (program->source.find_first_not_of(" \n") == std::string::npos) {
    program->image = "// CUDA on the CPU " + identity() + "\n";  // CuPy keeps kernels by this
    return 0;
  }
  return compile(*program, count, options);
}
int nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->image.size(), 0; }
int nvrtcGetCUBIN(Program* program, char* out) { return memcpy(out, program->image.data(), program->image.size()), 0; }
int nvrtcGetPTXSize(Program* program, size_t* size) { return *size = program->image.size() + 1, 0; }
int nvrtcGetPTX(Program* program, char* out) { return memcpy(out, program->image.c_str(), program->image.size() + 1), 0; }
int nvrtcGetLTOIRSize(Program*, size_t*) { return 7; }
int nvrtcGetLTOIR(Program*, char*) { return 7; }
int nvrtcGetProgramLogSize(Program* program, size_t* size) { return *size = program->log.size() + 1, 0; }
int nvrtcGetProgramLog(Program* program, char* out) { return memcpy(out, program->log.c_str(), program->log.size() + 1), 0; }
}
