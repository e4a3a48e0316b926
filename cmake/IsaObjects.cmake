# One object of src/cpp/isa/isa.cpp for each instruction set of the target's architecture.
#
# refine_itr_isa_<name> is an object library. Link-time optimisation stays off for it: it would
# mix code compiled for different instruction sets again.
function(add_isa name)
  string(TOUPPER ${name} upper)
  add_library(refine_itr_isa_${name} OBJECT src/cpp/isa/isa.cpp)
  target_include_directories(refine_itr_isa_${name} PRIVATE src/cpp)
  target_compile_definitions(refine_itr_isa_${name}
    PRIVATE REFINE_ITR_ISA_NAME=${name} REFINE_ITR_ISA_${upper})
  target_compile_options(refine_itr_isa_${name}
    PRIVATE -fno-exceptions -fno-math-errno $<$<NOT:$<CONFIG:Debug>>:-O3> ${ARGN}
            # GCC warns of uninitialised variables in its own avx512fintrin.h (its bug 105593).
            $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>
            $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_libraries(refine_itr_isa_${name} PRIVATE refine_itr_flags)
  set_target_properties(refine_itr_isa_${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()

# Adds `name` to the list `isas` if the compiler has its instructions: the options in ARGN.
macro(add_optional_isa name probe)
  string(GENEX_STRIP "${ARGN}" flags)  # the check would take generator expressions literally
  string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${flags}")
  check_cxx_source_compiles("${probe}" REFINE_ITR_HAS_${name})
  unset(CMAKE_REQUIRED_FLAGS)
  if(REFINE_ITR_HAS_${name})
    add_isa(${name} ${ARGN})
    list(APPEND isas ${name})
  endif()
endmacro()

# Compiles the instruction sets and adds them to `target`. refine_itr_isas builds their objects only.
function(target_add_isas target)
  include(CheckCXXSourceCompiles)
  add_isa(scalar)
  set(isas scalar)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(avx2 -mavx2 -mfma)
    set(avx512 ${avx2} -mavx512f -mavx512dq -mavx512bw -mavx512vl)
    add_isa(avx2 ${avx2})
    add_isa(avx512 ${avx512})
    add_isa(avx512vnni ${avx512} -mavx512vnni)
    list(APPEND isas avx2 avx512 avx512vnni)
    set(include "#include <immintrin.h>\nint main() {")
    add_optional_isa(avxvnni "${include} (void)_mm256_dpbusd_avx_epi32(__m256i(), __m256i(), __m256i()); }"
                     ${avx2} -mavxvnni)
    add_optional_isa(avx512bf16 "${include} (void)_mm512_dpbf16_ps(__m512(), __m512bh(), __m512bh()); }"
                     ${avx512} -mavx512vnni -mavx512bf16)
    add_optional_isa(amx "${include} _tile_dpbf16ps(0, 1, 2); _tile_dpbusd(0, 1, 2); }"
                     ${avx512} -mavx512vnni -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8)
    target_compile_definitions(${target} PRIVATE REFINE_ITR_X86)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    add_isa(neon)
    list(APPEND isas neon)
    set(include "#include <arm_neon.h>\nint main() {")
    add_optional_isa(neondot "${include} (void)vdotq_s32(vdupq_n_s32(0), vdupq_n_s8(0), vdupq_n_s8(0)); }"
                     -march=armv8.2-a+dotprod)
    add_optional_isa(neonbf16 "${include} (void)vcvtq_low_bf16_f32(vdupq_n_f32(0)); }"
                     -march=armv8.2-a+dotprod+bf16)
    target_compile_definitions(${target} PRIVATE REFINE_ITR_ARM64)
  endif()
  add_custom_target(refine_itr_isas)
  foreach(isa IN LISTS isas)
    string(TOUPPER ${isa} upper)
    add_dependencies(refine_itr_isas refine_itr_isa_${isa})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:refine_itr_isa_${isa}>)
    target_compile_definitions(${target} PRIVATE REFINE_ITR_HAS_${upper})
  endforeach()
endfunction()
