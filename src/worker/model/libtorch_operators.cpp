// Operators of libtorch that tch does not wrap: the CPU's convolutions that end with what follows them (a residual, a ReLU)
// while the numbers are still in the cache, which are called by their names; and what libtorch says of itself.

#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/empty.h>

#include <cstring>
#include <exception>
#include <optional>
#include <vector>

namespace {

using Ends = c10::List<std::optional<at::Scalar>>;

void push_convolution(torch::jit::Stack &stack, const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias,
                      int64_t stride, int64_t padding) {
  stack.emplace_back(input);
  stack.emplace_back(weight);
  stack.emplace_back(bias);
  stack.emplace_back(c10::List<int64_t>({padding, padding}));
  stack.emplace_back(c10::List<int64_t>({stride, stride}));
  stack.emplace_back(c10::List<int64_t>({1, 1}));
  stack.emplace_back(int64_t{1});
}

at::Tensor call(const c10::OperatorHandle &operation, torch::jit::Stack &stack) {
  operation.callBoxed(stack);
  return stack.back().toTensor();
}

at::Tensor convolve(const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias, int64_t stride, int64_t padding,
                    bool relu) {
  static const auto operation = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", "");
  torch::jit::Stack stack;
  push_convolution(stack, input, weight, bias, stride, padding);
  stack.emplace_back(relu ? "relu" : "none");
  stack.emplace_back(Ends());
  stack.emplace_back("");
  return call(operation, stack);
}

at::Tensor convolve_onto(const at::Tensor &residual, const at::Tensor &input, const at::Tensor &weight, const at::Tensor &bias,
                         int64_t stride, int64_t padding) {
  static const auto operation = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary");
  torch::jit::Stack stack;
  stack.emplace_back(residual);
  push_convolution(stack, input, weight, bias, stride, padding);
  stack.emplace_back("add");
  stack.emplace_back(at::Scalar(1.0));
  stack.emplace_back("relu");
  stack.emplace_back(Ends());
  stack.emplace_back("");
  return call(operation, stack);
}

} // namespace

// A new tensor; or null, and why in `problem`, ended by a 0. With a residual: relu(convolution + residual), in its place.
extern "C" at::Tensor *surgcam_fused_convolution(const at::Tensor *input, const at::Tensor *weight, const at::Tensor *bias,
                                                 const at::Tensor *residual, int64_t stride, int64_t padding, bool relu,
                                                 char *problem, size_t problem_size) {
  try {
    return new at::Tensor(residual ? convolve_onto(*residual, *input, *weight, *bias, stride, padding)
                                   : convolve(*input, *weight, *bias, stride, padding, relu));
  } catch (const std::exception &error) {
    std::strncpy(problem, error.what(), problem_size - 1);
    problem[problem_size - 1] = 0;
    return nullptr;
  }
}

// An empty tensor on the CPU in memory that a GPU reaches by itself; null where there is no such memory.
extern "C" at::Tensor *surgcam_pinned(const int64_t *size, size_t dimensions, int kind) {
  try {
    const auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind)).pinned_memory(true);
    return new at::Tensor(at::empty(at::IntArrayRef(size, dimensions), options));
  } catch (const std::exception &) {
    return nullptr;
  }
}

// One step of SGD on all parameters together, in few calls: momentum = momentum x factor + gradient + decay x parameter;
// parameter -= rate x momentum. The gradients are used up. False, and why in `problem`, where libtorch refuses it.
extern "C" bool surgcam_sgd_step(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *momenta,
                                 size_t count, double factor, double decay, double rate, char *problem, size_t problem_size) {
  const auto list = [count](at::Tensor *const *tensors) {
    std::vector<at::Tensor> list;
    list.reserve(count);
    for (size_t place = 0; place < count; place++)
      list.push_back(*tensors[place]);
    return list;
  };
  try {
    const auto of_parameters = list(parameters), of_gradients = list(gradients), of_momenta = list(momenta);
    if (decay > 0)
      at::_foreach_add_(of_gradients, of_parameters, decay);
    at::_foreach_mul_(of_momenta, factor);
    at::_foreach_add_(of_momenta, of_gradients);
    at::_foreach_add_(of_parameters, of_momenta, -rate);
    return true;
  } catch (const std::exception &error) {
    std::strncpy(problem, error.what(), problem_size - 1);
    problem[problem_size - 1] = 0;
    return false;
  }
}

// What libtorch was built as, several lines; ended by a 0, and cut where it is longer than `size`. Empty where it cannot say.
extern "C" void surgcam_libtorch_description(char *description, size_t size) {
  std::string text;
  try {
    text = at::show_config();
  } catch (const std::exception &) {
  }
  std::strncpy(description, text.c_str(), size - 1);
  description[size - 1] = 0;
}
