# The CUDA backend: ${cuda_sources} of the host, ${cuda_objects} that nvcc makes of the kernels, ${cuda_include} and
# ${cuda_runtime}. nvcc is called by ourselves: CMake's own support does not know C++20 for CUDA everywhere, and wants a
# toolkit in one piece, which that of PyPI's packages is not.
#
# The kernels are compiled for each architecture, and as PTX for those to come; 8.6 and 8.9 run the code of 8.0. The runtime
# is linked in; it looks for the driver when the program starts.
set(cuda_architectures ${GLASSBOX_CUDA_ARCHITECTURES})

get_filename_component(cuda_root ${GLASSBOX_NVCC} REALPATH)
get_filename_component(cuda_root ${cuda_root} DIRECTORY)
get_filename_component(cuda_root ${cuda_root} DIRECTORY)
find_path(cuda_include cuda_runtime.h HINTS ${cuda_root}/include ${cuda_root}/targets/x86_64-linux/include
          NO_DEFAULT_PATH REQUIRED)
find_library(cuda_runtime cudart_static HINTS ${cuda_root}/lib64 ${cuda_root}/lib ${cuda_root}/targets/x86_64-linux/lib
             NO_DEFAULT_PATH REQUIRED)

list(GET cuda_architectures -1 cuda_newest)
# --expt-relaxed-constexpr: kernels call constexpr functions that the host shares (std::bit_cast, kernels/hash.h).
set(cuda_options -std=c++20 -O3 --expt-relaxed-constexpr -I ${CMAKE_SOURCE_DIR} -Werror all-warnings -Xcompiler=-Wall,-Wextra
    -Xptxas=-v,-warn-spills,-Werror --threads 0
    -gencode arch=compute_${cuda_newest},code=compute_${cuda_newest})
foreach(architecture IN LISTS cuda_architectures)
  list(APPEND cuda_options -gencode arch=compute_${architecture},code=sm_${architecture})
endforeach()

set(cuda_launcher)
if(GLASSBOX_CCACHE)
  set(cuda_launcher ${GLASSBOX_CCACHE})
endif()
set(cuda_objects)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cu)
foreach(kernel IN LISTS cuda_kernels)
  get_filename_component(name ${kernel} NAME_WE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda_${name}.o)
  set(own_options)
  if(name MATCHES "^(draw|nearest)$")  # the same bits as the host's
    set(own_options --fmad=false)
  endif()
  add_custom_command(
    OUTPUT ${object}
    # What each kernel takes of a multiprocessor stays beside the object, for tests/run.
    COMMAND sh -c [["$@" > "$0" 2>&1 || { cat "$0"; exit 1; }]] ${object}.log
            ${cuda_launcher} ${GLASSBOX_NVCC} ${cuda_options} ${own_options} -MD -MF ${object}.d -c ${kernel} -o ${object}
    DEPENDS ${kernel}
    DEPFILE ${object}.d
    COMMENT "Building CUDA object ${name}.cu"
    VERBATIM)
  list(APPEND cuda_objects ${object})
endforeach()
