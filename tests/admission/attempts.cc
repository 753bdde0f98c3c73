// What invariant 1 forbids, one attempt each; check.cmake compiles them. 0 is the control: the
// same includes and a holder of the token, which must compile.
#include <memory>
#include <utility>
#include <vector>

#include "format/admitted_model.h"
#include "format/checkpoint.h"
#include "format/renamed_checkpoint.h"

namespace lantern::format {

Status control(const AdmittedModel& model, const Tensor& tensor, std::span<std::byte> out) {
  return read_tensor(model, tensor, 0, out);
}
AdmittedModel control_moves(AdmittedModel model) { return AdmittedModel(std::move(model)); }

#if ATTEMPT == 1  // to make the token
AdmittedModel attempt(std::shared_ptr<const Checkpoint> checkpoint) {
  return AdmittedModel(std::move(checkpoint), {}, "forged", std::make_shared<Standing>());
}
#elif ATTEMPT == 2  // to make it without a constructor's name
AdmittedModel attempt(std::shared_ptr<const Checkpoint> checkpoint) {
  return {std::move(checkpoint), {}, "forged", std::make_shared<Standing>()};
}
#elif ATTEMPT == 3  // to copy it
AdmittedModel attempt(const AdmittedModel& model) { return model; }
#elif ATTEMPT == 4  // to read data from a checkpoint itself
Status attempt(const Checkpoint& model, const Tensor& tensor, std::span<std::byte> out) {
  return model.read(tensor, 0, out);
}
#elif ATTEMPT == 5  // to give a checkpoint where the token is asked for
Status attempt(const Checkpoint& model, const Tensor& tensor, std::span<std::byte> out) {
  return read_tensor(model, tensor, 0, out);
}
#elif ATTEMPT == 6  // to read another checkpoint's data from a derived one
class Reader : public Checkpoint {
 public:
  static Status attempt(const Checkpoint& model, const Tensor& tensor, std::span<std::byte> out) {
    return model.read(tensor, 0, out);
  }
};
#elif ATTEMPT == 7  // to put another checkpoint into a token
void attempt(AdmittedModel& model, std::shared_ptr<const Checkpoint> other) {
  model.checkpoint_ = std::move(other);
}
#endif

}  // namespace lantern::format
