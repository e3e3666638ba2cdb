# edgevit-runner-torch: linked with libtorch, for boards; PyTorch's own Android libraries ended with 1.13 and 2.1.
#
#   EDGEVIT_TORCH_DIR   the folder `torch` of PyPI's wheel for the device, with its `include` and `lib`
set(EDGEVIT_TORCH_DIR "" CACHE PATH "the folder of torch for the device")
if(NOT EXISTS "${EDGEVIT_TORCH_DIR}/lib/libtorch_cpu.so" OR NOT EXISTS "${EDGEVIT_TORCH_DIR}/include/ATen/ATen.h")
  message(FATAL_ERROR "EDGEVIT_TORCH_DIR holds no include/ATen and lib/libtorch_cpu.so: '${EDGEVIT_TORCH_DIR}'")
endif()

add_executable(edgevit-runner-torch main.cpp sessions/torch.cpp)
set_target_properties(edgevit-runner-torch PROPERTIES CXX_STANDARD 20)  # as torch's headers ask for
target_include_directories(edgevit-runner-torch SYSTEM PRIVATE
  "${EDGEVIT_TORCH_DIR}/include" "${EDGEVIT_TORCH_DIR}/include/torch/csrc/api/include")
# Exceptions and std:: types pass between the two: the standard library is the device's, for both. What libtorch itself
# needs (libgomp, OpenBLAS) is looked for on the device, not here.
target_link_libraries(edgevit-runner-torch PRIVATE core "-L${EDGEVIT_TORCH_DIR}/lib" -ltorch_cpu -lc10)
target_link_options(edgevit-runner-torch PRIVATE -Wl,--no-as-needed -Wl,--allow-shlib-undefined -s)
