#include "place.h"

#include <mutex>
#include <unordered_map>

#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace equipot {

Place::Place(const at::Tensor &on, int64_t scratch)
{
  const c10::Device device = on.device();
  // All work is on the default stream; the handle of another one would need linking to CUDA.
  TORCH_INTERNAL_ASSERT(c10::impl::VirtualGuardImpl(device.type()).getStream(device).id() == 0);
  if (scratch > 0) workspace = at::empty({scratch}, on.options().dtype(at::kByte));
  place.size = sizeof(place);
  place.device = device.index();
  place.stream = nullptr;
  place.workspace = scratch > 0 ? workspace.mutable_data_ptr() : nullptr;
}

at::Tensor host_copy(const at::Tensor &tensor)
{
  if (tensor.device().is_cpu()) return tensor;
  struct Copy {
    c10::weak_intrusive_ptr<at::TensorImpl> original;    // prevents another tensor from getting this address
    at::Tensor content;
  };
  static std::mutex lock;
  static std::unordered_map<const at::TensorImpl *, Copy> known;
  const std::lock_guard<std::mutex> guard(lock);    // backward passes run on other threads
  const auto found = known.find(tensor.unsafeGetTensorImpl());
  if (found != known.end()) return found->second.content;
  std::erase_if(known, [](const auto &entry) { return entry.second.original.expired(); });
  at::Tensor content = tensor.detach().cpu();
  known.try_emplace(tensor.unsafeGetTensorImpl(), Copy{c10::weak_intrusive_ptr<at::TensorImpl>(tensor.getIntrusivePtr()), content});
  return content;
}

}    // namespace equipot
