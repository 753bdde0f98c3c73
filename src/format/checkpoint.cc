#include "format/checkpoint.h"

#include "base/printable.h"

namespace lantern::format {

Status read_tensor(const AdmittedModel& model, const Tensor& tensor, uint64_t offset,
                   std::span<std::byte> out) {
  // The tensor must be the checkpoint's own: one made up by a caller could name any bytes of the
  // file.
  const Tensor* own = model.checkpoint().find(tensor.name);
  if (own == nullptr ||
      (own != &tensor &&
       (own->file != tensor.file || own->offset != tensor.offset || own->bytes != tensor.bytes)))
    return make_error(ErrorCode::kInvalidArgument, "{}: no tensor of model {}",
                      base::printable(tensor.name), model.name());
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
    return make_error(ErrorCode::kInvalidArgument, "tensor {}: {} bytes at {} of {} were asked for",
                      base::printable(tensor.name), out.size(), offset, tensor.bytes);
  if (out.empty()) return {};
  return model.checkpoint().read(*own, offset, out);
}

}  // namespace lantern::format
