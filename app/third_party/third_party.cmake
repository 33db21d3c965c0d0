# Targets for the libraries of other people that app/third_party/CMakeLists.txt builds:
#   glassbox::imgui         Dear ImGui (docking, FreeType), GLFW and OpenGL 3 backends, ImPlot, ImPlot3D, the command
#                           palette, stb_image_write, the icon font; GLFW and OpenGL come with it
#   glassbox::imgui_test    the same with the hooks of Dear ImGui's test engine, and the engine. A program links this
#                           one or the other, never both
#   glassbox::markdown      Markdown with formulas; needs one of the two above beside it, and serves both
#   glassbox::file_dialogs  the file dialogs (headers)
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

foreach(library imgui imgui_test imgui_extras imgui_rich_md imgui_rich_md_latex microtex)
  add_library(glassbox_archive_${library} STATIC IMPORTED GLOBAL)
  set_target_properties(glassbox_archive_${library} PROPERTIES
    IMPORTED_LOCATION ${third_party_dir}/lib/lib${library}.a)
endforeach()

# The definitions repeat those that the archives were compiled with (app/third_party/CMakeLists.txt).
function(glassbox_imgui_target name core)
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${name} SYSTEM INTERFACE ${third_party_dir}/include/imgui
    ${third_party_dir}/include/imgui/backends ${third_party_dir}/include/imgui/misc/freetype
    ${third_party_dir}/include/imgui/misc/cpp ${third_party_dir}/include/extras ${ARGN})
  target_compile_definitions(${name} INTERFACE IMGUI_USE_WCHAR32 IMGUI_ENABLE_FREETYPE GLFW_INCLUDE_NONE)
  target_link_libraries(${name} INTERFACE glassbox_archive_imgui_extras glassbox_archive_${core} Freetype::Freetype
                        glfw OpenGL::OpenGL OpenGL::EGL Threads::Threads ${CMAKE_DL_LIBS})
endfunction()
# An archive that uses imgui is searched before imgui's, whatever the order in which a program names its targets.
set_target_properties(glassbox_archive_imgui_rich_md PROPERTIES INTERFACE_LINK_LIBRARIES
  "glassbox_archive_imgui_rich_md_latex;glassbox_archive_microtex")
set_target_properties(glassbox_archive_imgui_rich_md_latex PROPERTIES INTERFACE_LINK_LIBRARIES
  "glassbox_archive_microtex;Freetype::Freetype")
glassbox_imgui_target(glassbox::imgui imgui)
glassbox_imgui_target(glassbox::imgui_test imgui_test ${third_party_dir}/include/imgui_test_engine)
target_compile_definitions(glassbox::imgui_test INTERFACE IMGUI_ENABLE_TEST_ENGINE
  IMGUI_TEST_ENGINE_ENABLE_COROUTINE_STDTHREAD_IMPL=1 IMGUI_TEST_ENGINE_ENABLE_STD_FUNCTION=1
  IMGUI_TEST_ENGINE_ENABLE_CAPTURE=1 IMGUI_TEST_ENGINE_ENABLE_IMPLOT=0)

add_library(glassbox::markdown INTERFACE IMPORTED GLOBAL)
target_include_directories(glassbox::markdown SYSTEM INTERFACE ${third_party_dir}/include/markdown
                           ${third_party_dir}/include/markdown/imgui_rich_md)
target_compile_definitions(glassbox::markdown INTERFACE IMGUI_RICHMD_WITH_LATEX IMGUI_RICHMD_EMBED_ASSETS)
target_link_libraries(glassbox::markdown INTERFACE glassbox_archive_imgui_rich_md)

add_library(glassbox::file_dialogs INTERFACE IMPORTED GLOBAL)
target_include_directories(glassbox::file_dialogs SYSTEM INTERFACE ${third_party_dir}/include/file_dialogs)
