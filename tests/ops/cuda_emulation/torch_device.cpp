// Stands in for libtorch_cuda: two GPUs whose memory is the host's. What torch has to know of a device is here; its
// operators are those of the CPU, on copies (cpu_fallback). EMULATION_GPUS: how many there are, instead of two.
#include <cstdlib>
#include <cstring>

#include <ATen/CPUFunctions.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace {

using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::Stream;

int n_gpus()
{
  const char *wish = std::getenv("EMULATION_GPUS");
  return wish ? std::atoi(wish) : 2;
}

thread_local DeviceIndex current = 0;

void release(void *memory) { std::free(memory); }

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override
  {
    // What a kernel reads without having written shows as not a number.
    void *memory = n > 0 ? std::malloc(n) : nullptr;
    if (memory) std::memset(memory, 0xff, n);
    return {memory, memory, &release, Device(c10::kCUDA, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *to, const void *from, size_t n) const override { std::memcpy(to, from, n); }
} memory;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  Device exchangeDevice(Device d) const override
  {
    const Device before = getDevice();
    current = d.index();
    return before;
  }
  Device getDevice() const override { return {c10::kCUDA, current}; }
  void setDevice(Device d) const override { current = d.index(); }
  void uncheckedSetDevice(Device d) const noexcept override { current = d.index(); }
  Stream getStream(Device d) const override { return Stream(Stream::DEFAULT, d); }
  Stream getDefaultStream(Device d) const override { return Stream(Stream::DEFAULT, d); }
  Stream exchangeStream(Stream stream) const override { return stream; }
  DeviceIndex deviceCount() const noexcept override { return static_cast<DeviceIndex>(n_gpus()); }
  void record(void **, const Stream &, DeviceIndex, c10::EventFlag) const override {}
  void block(void *, const Stream &) const override {}
  bool queryEvent(void *) const override { return true; }
  bool queryStream(const Stream &) const override { return true; }
  void synchronizeStream(const Stream &) const override {}
  void synchronizeDevice(DeviceIndex) const override {}
};

struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return n_gpus() > 0; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return static_cast<DeviceIndex>(n_gpus()); }
  DeviceIndex current_device() const override { return current; }
  DeviceIndex getCurrentDevice() const override { return current; }
  int getNumGPUs() const override { return n_gpus(); }
  c10::Allocator *getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  bool isPinnedPtr(const void *) const override { return true; }
  void deviceSynchronize(DeviceIndex) const override {}
};

// The same memory as a tensor of the CPU.
Tensor alias(const Tensor &tensor)
{
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(c10::kCPU));
}

Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format)
{
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                   c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<Device> device, std::optional<bool>)
{
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                           c10::dtype_or_default(dtype));
}

Tensor copy_from(const Tensor &from, const Tensor &to, bool)
{
  alias(to).copy_(alias(from));
  return to;
}

Tensor &copy_(Tensor &to, const Tensor &from, bool)
{
  alias(to).copy_(alias(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor &from, const Tensor &to)
{
  if (to.sizes() != from.sizes()) to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  return copy_from(from, to, false);
}

Tensor as_strided(const Tensor &tensor, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                  std::optional<c10::SymInt> offset)
{
  std::optional<int64_t> start;
  if (offset) start = offset->guard_int(__FILE__, __LINE__);
  return at::cpu::as_strided(tensor, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), start);
}

Tensor view(const Tensor &tensor, c10::SymIntArrayRef size)
{
  return at::cpu::view(tensor, C10_AS_INTARRAYREF_SLOW(size));
}

Tensor reshape_alias(const Tensor &tensor, c10::SymIntArrayRef size, c10::SymIntArrayRef stride)
{
  return as_strided(tensor, size, stride, tensor.storage_offset());
}

Tensor &set_(Tensor &tensor, at::Storage storage, c10::SymInt offset, c10::SymIntArrayRef size,
             c10::SymIntArrayRef stride)
{
  auto *it = tensor.unsafeGetTensorImpl();
  it->set_storage_keep_dtype(std::move(storage));
  it->set_storage_offset(offset.guard_int(__FILE__, __LINE__));
  it->set_sizes_and_strides(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
  return tensor;
}

void on_the_cpu(const c10::OperatorHandle &op, torch::jit::Stack *stack) { at::native::cpu_fallback(op, stack); }

}    // namespace

C10_REGISTER_GUARD_IMPL(CUDA, Guard)
namespace at {
REGISTER_CUDA_HOOKS(CUDAHooks)    // torch asks for them by this name
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, m)
{
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("copy_", copy_);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("set_.source_Storage_storage_offset", set_);
}
