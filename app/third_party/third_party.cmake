# Targets for the libraries of other people that app/third_party/CMakeLists.txt builds:
#   glassbox::imgui_headers  what compiling against them needs: for a library that the program and its tests share
#   glassbox::imgui          the libraries: Dear ImGui (docking, FreeType), GLFW and OpenGL 3 backends, ImPlot, ImPlot3D,
#                            the command palette, Markdown with formulas, stb_image_write, the icon font; GLFW,
#                            OpenGL and EGL come with it
#   glassbox::imgui_test     the same with the hooks of Dear ImGui's test engine, and the engine. A program links this
#                            one or the other, never both; no struct differs, so a library compiled with the headers
#                            above serves both
#   glassbox::file_dialogs   the file dialogs (headers)
# GLASSBOX_THIRD_PARTY_DIR names the installed folder. Left empty, it is the one that app/setup/third_party.sh keeps in
# the user's cache for these sources and this compiler; when it is not there yet, the script is run here.
include_guard(GLOBAL)

set(GLASSBOX_THIRD_PARTY_DIR "" CACHE PATH "installed third-party libraries; empty: the ones in the user's cache")
set(third_party_dir "${GLASSBOX_THIRD_PARTY_DIR}")
if(NOT third_party_dir)
  set(third_party_script ${CMAKE_SOURCE_DIR}/app/setup/third_party.sh)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env "CC=${CMAKE_C_COMPILER}" "CXX=${CMAKE_CXX_COMPILER}"
                          bash ${third_party_script}
                  OUTPUT_VARIABLE third_party_dir OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE third_party_result)
  if(NOT third_party_result EQUAL 0)
    message(FATAL_ERROR "the libraries of the window could not be prepared (see above). Mend that and configure "
                        "again, or configure with -DGLASSBOX_WINDOW=OFF for the command line alone")
  endif()
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${third_party_script} ${CMAKE_SOURCE_DIR}/app/setup/pins.sh ${CMAKE_SOURCE_DIR}/app/third_party/CMakeLists.txt)
endif()
if(NOT EXISTS ${third_party_dir}/lib/libimgui.a)
  message(FATAL_ERROR "GLASSBOX_THIRD_PARTY_DIR (${third_party_dir}) holds no lib/libimgui.a; "
                      "leave the variable empty to let app/setup/third_party.sh build it")
endif()
message(STATUS "third-party libraries: ${third_party_dir}")

find_package(Freetype REQUIRED)
find_package(glfw3 3.3 REQUIRED)
find_package(OpenGL REQUIRED COMPONENTS OpenGL EGL)
find_package(Threads REQUIRED)
# app/ includes this file, and tests/ links what it defines.
set_target_properties(Freetype::Freetype glfw OpenGL::OpenGL OpenGL::EGL PROPERTIES IMPORTED_GLOBAL TRUE)

# The definitions repeat those that the archives were compiled with (app/third_party/CMakeLists.txt).
add_library(glassbox::imgui_headers INTERFACE IMPORTED GLOBAL)
target_include_directories(glassbox::imgui_headers SYSTEM INTERFACE
  ${third_party_dir}/include/imgui ${third_party_dir}/include/imgui/backends
  ${third_party_dir}/include/imgui/misc/freetype ${third_party_dir}/include/imgui/misc/cpp
  ${third_party_dir}/include/extras ${third_party_dir}/include/markdown
  ${third_party_dir}/include/markdown/imgui_rich_md)
target_compile_definitions(glassbox::imgui_headers INTERFACE IMGUI_USE_WCHAR32 IMGUI_ENABLE_FREETYPE GLFW_INCLUDE_NONE
  IMGUI_RICHMD_WITH_LATEX IMGUI_RICHMD_EMBED_ASSETS)

# The archives use one another in both directions, so the linker goes round them until nothing is missing.
function(glassbox_imgui_target name core)
  set(archives)
  foreach(library imgui_rich_md imgui_rich_md_latex microtex imgui_extras ${core})
    list(APPEND archives ${third_party_dir}/lib/lib${library}.a)
  endforeach()
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${name} INTERFACE glassbox::imgui_headers -Wl,--start-group ${archives} -Wl,--end-group
                        Freetype::Freetype glfw OpenGL::OpenGL OpenGL::EGL Threads::Threads ${CMAKE_DL_LIBS})
endfunction()
glassbox_imgui_target(glassbox::imgui imgui)
glassbox_imgui_target(glassbox::imgui_test imgui_test)
target_include_directories(glassbox::imgui_test SYSTEM INTERFACE ${third_party_dir}/include/imgui_test_engine)
target_compile_definitions(glassbox::imgui_test INTERFACE IMGUI_ENABLE_TEST_ENGINE
  IMGUI_TEST_ENGINE_ENABLE_COROUTINE_STDTHREAD_IMPL=1 IMGUI_TEST_ENGINE_ENABLE_STD_FUNCTION=1
  IMGUI_TEST_ENGINE_ENABLE_CAPTURE=1 IMGUI_TEST_ENGINE_ENABLE_IMPLOT=0)

add_library(glassbox::file_dialogs INTERFACE IMPORTED GLOBAL)
target_include_directories(glassbox::file_dialogs SYSTEM INTERFACE ${third_party_dir}/include/file_dialogs)
