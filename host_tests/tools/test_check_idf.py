"""`make check-idf` without ESP-IDF: its parts on made-up sources, the names in sdkconfig files."""

import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from build_firmware import NotReady
from check_idf import SIM_OPTIONS, lwip_version, same_options
from idf_check import exclusive, kconfig, symbols
from idf_check.compiling import RISCV, XTENSA, Compiler
from idf_check.parts import Parts, PartsError, ask

SUPPORTED = {"5.4.2", "5.5.1"}
OURS = sorted((ROOT / "boards").glob("*/sdkconfig.*"))
FACTS = kconfig.read_facts(kconfig.FACTS.read_text())


# --- our sdkconfig files against the facts about ESP-IDF's Kconfig


@pytest.mark.parametrize("path", OURS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_line_is_a_name_of_both_versions_with_a_value_of_its_type(path):
    known = {name: kind for name, (kind, versions) in FACTS.items() if set(versions) >= SUPPORTED}
    for name, value in kconfig.settings(path.read_text()).items():
        assert kconfig.complaint(name, value, known) == ""


def test_facts_are_about_names_in_use():
    used = {name for path in OURS for name in kconfig.settings(path.read_text())}
    assert used == FACTS.keys()


def test_there_are_files_to_check():
    assert len(OURS) == 7


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("LINGERS", "y", "CONFIG_LINGERS is no name of Kconfig"),
        ("LINGER", "1", "CONFIG_LINGER=1 is not of its type, bool"),
        ("MSL", "y", "CONFIG_MSL=y is not of its type, int"),
        ("BASE", "16", "is not of its type, hex"),
        ("LABEL", "x", "is not of its type, string"),
    ],
)
def test_wrong_lines(name, value, text):
    known = {"LINGER": "bool", "MSL": "int", "BASE": "hex", "LABEL": "string"}
    assert text in kconfig.complaint(name, value, known)


@pytest.mark.parametrize(
    ("name", "value"), [("LINGER", "n"), ("MSL", "-5"), ("BASE", "0x1F"), ("LABEL", '"a b"')]
)
def test_right_lines(name, value):
    known = {"LINGER": "bool", "MSL": "int", "BASE": "hex", "LABEL": "string"}
    assert kconfig.complaint(name, value, known) == ""


def test_lines_that_are_none():
    assert kconfig.settings("# why\n\nCONFIG_A=y\n") == {"A": "y"}
    with pytest.raises(kconfig.BadLine, match="'A=y' is not CONFIG_NAME=value"):
        kconfig.settings("A=y\n")


def test_a_line_that_kconfig_does_not_take():
    wanted = {"KEPT": "5", "OFF": "n", "CLAMPED": "900", "DEPENDS": "y"}
    made = {"KEPT": "5", "CLAMPED": "100"}
    assert kconfig.without_effect(wanted, made) == [
        "CONFIG_CLAMPED=900 has no effect: Kconfig makes it 100",
        "CONFIG_DEPENDS=y has no effect: Kconfig makes it n",
    ]


KCONFIG = """
menu "lwIP"
    menuconfig ENABLE
        bool "Enable"
        default y
    config MSL # milliseconds
        int "config NOT_A_NAME here"
        help
            config text of a help
    choice AFFINITY
        prompt "Core"
        config CPU0
            bool "CPU0"
    endchoice
    config NAME
        string
endmenu
"""


def test_names_of_a_kconfig_file():
    found = {"ENABLE": "bool", "MSL": "int", "CPU0": "bool", "NAME": "string"}
    assert kconfig.names(KCONFIG) == found


def test_facts_grow_by_a_version_and_lose_what_is_not_used():
    old = "# head\nGONE int 5.4.2\nMSL int 5.4.2\n"
    new = kconfig.merged_facts(
        old, {"MSL", "NEW", "NOWHERE"}, {"MSL": "int", "NEW": "bool"}, "5.5.1"
    )
    assert new == "# head\nMSL int 5.4.2 5.5.1\nNEW bool 5.5.1\n"
    again = kconfig.merged_facts(new, {"MSL"}, {}, "5.5.1")
    assert again == "# head\nMSL int 5.4.2\n"


# --- what defines a symbol


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("int f(int a) { return g(a); }", {"f"}),
        ("err_t\nf(void (*call)(int), int a)\n{ if (a) { call(1); } }", {"f"}),
        ("int f(int a);", set()),
        ("static int f(void) { return 1; } int v;", {"v"}),
        ("static inline int f(void) { return 1; }", set()),
        ("extern int v; extern int w = 3;", {"w"}),
        ("const struct type v = { .a = { 1 }, .f = g };", {"v"}),
        ("struct a { int x; }; enum { A, B }; union u;", set()),
        ("typedef struct { int x; } t; typedef int (*call)(void);", set()),
        ("struct a { int x; } v[3];", {"v"}),
        ("__attribute__((weak)) void f(void) { }", {"f"}),
        ('void f(void) __attribute__((section("x"))); void g(void) { }', {"g"}),
        ('int f(void) __attribute__((weak, alias("g")));', {"f"}),
        ('char *v = "int f(void) { }"; // int g(void) { }\n', {"v"}),
        ("#define F \\\n int f(void) { }\nint v;", {"v"}),
        ("void *v[] = { f, g }; int (*call)(void) = f;", {"v", "call"}),
    ],
)
def test_what_c_defines(text, names):
    assert symbols.defined_in_c(text) == names


def test_what_assembler_and_linker_scripts_define():
    assert symbols.defined_in_assembler("  .global f\nf:\n.weak g\nh:\n") == {"f", "g"}
    script = "/* ROM */\nmemcpy = 0x40000358;\nPROVIDE( f = 0x40000010 );\nPROVIDE ( g = f );\n"
    script += "PROVIDE ( h = nowhere );\nround = again;\nagain = round;\n"
    assert symbols.defined_in_linker_script(script) == {"memcpy", "f", "g"}


def test_what_nm_says():
    text = "a.o:\n00000000 T f\n         U memcpy\n00000004 b state\n00000008 D v\n\nb.o:\n  U f\n"
    text += "         U __real_g\n"
    assert symbols.of_nm(text) == ({"f", "v"}, {"memcpy", "g"})


@pytest.mark.behaviour("M2")
def test_what_stands_in_for_a_function_needs_that_function():
    text = "00000000 T __wrap_gc_get_max_new_split\n"
    assert symbols.of_nm(text) == ({"__wrap_gc_get_max_new_split"}, {"gc_get_max_new_split"})


@pytest.mark.behaviour("M2")
def test_what_stands_in_for_a_function_and_the_linker_s_option_need_each_other():
    options = ["-Wl,--wrap=f,--wrap=g", "-u", "h"]
    assert symbols.unpaired({"__wrap_f", "__wrap_g", "f"}, options) == []
    assert symbols.unpaired({"__wrap_f", "__wrap_h"}, options) == [
        "no option of the linker's says --wrap=h",
        "nothing defines __wrap_g",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("int lwip_send(void);", True),
        ("int lwip_sendto(void) { lwip_send_more(); }", False),
        ("FUNCTIONS(__atomic_exchange)", True),
        ("int lwip;", False),
    ],
)
def test_where_a_definition_is_looked_for(text, found):
    assert symbols.mentions(text, {"lwip_send", "__atomic_exchange_4"}) is found


def test_what_the_chips_own_compiler_makes_instructions_of():
    assert XTENSA.is_instruction("__atomic_exchange_4")
    assert not XTENSA.is_instruction("__atomic_exchange_8")
    assert not RISCV.is_instruction("__atomic_exchange_4")


# --- drivers that exclude each other

OLDER = """
int count_old(int a) { return a; }
__attribute__((constructor))
static void check(void)
{
    extern __attribute__((weak)) int count_new(const void *config);
    if ((void *)count_new != NULL) { abort(); }
}
"""
USERS = {
    "firmware/counter.c": "void f(void) { count_new(NULL); }\n",
    "mp/ports/esp32/counting.c": "void g(void) { count_old(1); }\n",
}


class PlainText:
    """A compiler whose preprocessor leaves each text as it is."""

    def preprocessed(self, component, source):
        return Path(source).read_text()

    def own_text(self, module, source):
        return source.read_text()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (
            {},
            "old.c ends the program before main: counting.c uses count_old, counter.c uses count_",
        ),
        ({"mp/ports/esp32/counting.c": "void g(void) { }\n"}, ""),
        ({"firmware/counter.c": "void f(void) { }\n"}, ""),
        ({"idf/old.c": "int count_old(int a) { return a; }\n"}, ""),
    ],
)
def test_an_older_driver_beside_the_newer_one(tmp_path, changed, found):
    texts = {"idf/old.c": OLDER, **USERS, **changed}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    components = zip(("driver", "usermod_spi", "main"), texts, strict=True)
    lines = [f"source\t{component}\t{tmp_path / name}" for component, name in components]
    lines.append(f"source\tmain\t{tmp_path / 'built/later.c'}")
    complaints = exclusive.complaints(Parts("\n".join(lines)), PlainText())
    assert len(complaints) == bool(found)
    assert found in "".join(complaints)


def test_what_sim_has_as_the_chips_is_asserted():
    text = (
        "#define GUARD\n#define A 1 /* IDF */\n#define B 4 * C_C\n/* ---- only here */\n#define D"
    )
    assert same_options(text).splitlines()[1:] == [
        '_Static_assert(A == (1), "1 in SIM");',
        '_Static_assert(B == (4 * C_C), "4 * C_C in SIM");',
    ]
    sims = same_options(SIM_OPTIONS.read_text())
    assert "(TCP_MSL == (CONFIG_LWIP_TCP_MSL)," in sims
    assert "heap_malloc" not in sims


def test_which_lwip_an_esp_idf_has(tmp_path):
    header = tmp_path / "components/lwip/lwip/src/include/lwip/init.h"
    header.parent.mkdir(parents=True)
    names = zip(("MAJOR", "MINOR", "REVISION"), (2, 2, 0), strict=True)
    header.write_text("".join(f"#define LWIP_VERSION_{name}   {n}\n" for name, n in names))
    assert lwip_version(tmp_path) == "2.2.0"
    header.unlink()
    with pytest.raises(NotReady, match="has no lwIP: git -C"):
        lwip_version(tmp_path)


# --- the CMake files


@pytest.fixture
def sources(tmp_path):
    """write({path: text}) below a folder, and what parts.cmake is given for it."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write(
        {
            "idf/tools/cmake/version.cmake": "",
            "idf/tools/cmake/utilities.cmake": "",
            "idf/components/lwip/CMakeLists.txt": "set(srcs api.c)\n"
            "if(CONFIG_PPP)\n  list(APPEND srcs ppp.c)\nendif()\n"
            'idf_component_register(SRCS ${srcs} INCLUDE_DIRS "port/${target}" REQUIRES vfs)\n'
            "target_compile_options(nobody PRIVATE -O2)\n",
            "idf/components/lwip/port/esp32c3/x.h": "",
            "idf/components/vfs/CMakeLists.txt": "idf_component_register(INCLUDE_DIRS .)\n",
            "idf/components/mqtt/CMakeLists.txt": 'message(FATAL_ERROR "no\n submodule")\n'
            "idf_component_register(SRCS never.c)\n",
            "managed/a__mdns/CMakeLists.txt": "idf_component_register("
            "SRCS mdns.c INCLUDE_DIRS .)\n",
            "mp/ports/esp32/esp32_common.cmake": "include(${USER_C_MODULES})\n"
            "idf_component_register(SRCS ${MICROPY_DIR}/py/obj.c REQUIRES lwip)\n"
            "target_compile_definitions(${COMPONENT_TARGET} PUBLIC VFS=1)\n",
            "mp/ports/esp32/boards/sdkconfig.base": "",
            "config.cmake": 'set(CONFIG_PPP "")\n',
        }
    )
    given = {
        "IDF_PATH": tmp_path / "idf",
        "MICROPY_DIR": tmp_path / "mp",
        "MICROPY_BOARD_DIR": ROOT / "boards/SPINET_ESP32C3",
        "FIRMWARE": ROOT / "firmware/micropython.cmake",
        "SDKCONFIG_CMAKE": tmp_path / "config.cmake",
        "EXTRA_COMPONENTS": tmp_path / "managed",
    }
    return write, lambda what: ask(what, tmp_path / "out/answer.txt", **given)


def test_parts_are_those_of_this_configuration(sources, tmp_path):
    write, parts = sources
    lwip = tmp_path / "idf/components/lwip"
    assert parts("parts").source["lwip"] == [str(lwip / "api.c")]
    write({"config.cmake": "set(CONFIG_PPP y)\n"})
    assert parts("parts").source["lwip"] == [str(lwip / "api.c"), str(lwip / "ppp.c")]


def test_folders_follow_what_components_require(sources, tmp_path):
    parts = sources[1]("parts")
    assert parts.folders("main") == [
        str(tmp_path / "managed/a__mdns"),
        str(tmp_path / "idf/components/lwip/port/esp32c3"),
        str(tmp_path / "idf/components/vfs"),
    ]
    assert parts.folders("vfs") == [str(tmp_path / "idf/components/vfs")]


def test_a_module_may_name_the_folder_of_a_component(sources, tmp_path):
    write, parts = sources
    common = "idf_component_get_property(VFS vfs COMPONENT_DIR)\n"
    common += "target_include_directories(usermod_x INTERFACE ${VFS}/private)\n"
    write({"mp/ports/esp32/esp32_common.cmake": common})
    assert parts("parts").include["usermod_x"] == [str(tmp_path / "idf/components/vfs/private")]


@pytest.mark.parametrize("module", ["usermod_lwip", "usermod_spi"])
def test_our_c_is_compiled_with_what_esp_idf_defines_if_that_is_handed_over(sources, module):
    """The linked copy belongs to the program, which is not a component and once lacked these."""
    write, parts = sources
    write({"config.cmake": "set(CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_DISABLE y)\n"})
    wanted = {"-DESP_PLATFORM", "-D_GNU_SOURCE", "-DNDEBUG"}
    assert wanted <= set(flags_of(parts("parts"), module))
    write({"mp/ports/esp32/esp32_common.cmake": "idf_component_register(SRCS obj.c)\n"})
    assert not wanted & set(flags_of(parts("parts"), module))


def flags_of(parts, module):
    return Compiler(parts, RISCV, Path("config"), Path("genhdr")).our_flags(module)


def test_the_architecture_is_a_component_of_all_others(sources):
    write, parts = sources
    write(
        {
            "config.cmake": "set(CONFIG_IDF_TARGET_ARCH xtensa)\n",
            "idf/components/xtensa/CMakeLists.txt": "idf_component_register(INCLUDE_DIRS .)\n",
        }
    )
    assert "xtensa" in parts("parts").seen_by("main")


def test_a_component_that_refuses_is_named_and_left_out(sources):
    parts = sources[1]("parts")
    assert parts.refused["mqtt"] == ["no submodule"]
    assert "mqtt" not in parts.source
    assert "mdns" in parts.source


def test_the_port_is_heard_to_its_end(sources, tmp_path):
    parts = sources[1]("parts")
    assert parts.source["main"] == [str(tmp_path / "mp/py/obj.c")]
    assert parts.definition["main"][-1] == "VFS=1"


def test_every_c_module_of_ours_is_found(sources):
    parts = sources[1]("parts")
    wanted = {path.parent.name for path in (ROOT / "firmware").glob("*/micropython.cmake")}
    files = [Path(path) for name in parts.ours() for path in parts.source[name]]
    assert {path.parent.name for path in files} == wanted
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize(
    "has",
    [
        ["ESP32_GENERIC_C3/sdkconfig.c3usb"],
        ["sdkconfig.riscv", "ESP32_GENERIC_C3/sdkconfig.c3usb"],
        ["sdkconfig.riscv", "sdkconfig.c3"],
    ],
    ids=["1.25", "1.27", "1.29"],
)
def test_a_board_takes_what_this_release_has(sources, tmp_path, has):
    write, parts = sources
    folder = "mp/ports/esp32/boards"
    write({f"{folder}/{name}": "" for name in has})
    defaults = parts("board").sdkconfig["board"]
    assert defaults[: len(has) + 1] == [
        str(tmp_path / folder / n) for n in ["sdkconfig.base", *has]
    ]
    assert [Path(path).name for path in defaults[len(has) + 1 :]] == [
        "sdkconfig.chip",
        "sdkconfig.board",
        "sdkconfig.partitions",
    ]
    made = Path(defaults[-1]).read_text()
    assert "CONFIG_APP_EXCLUDE_PROJECT_VER_VAR=n" in made.splitlines()  # it says y before


@pytest.mark.behaviour("M2")
def test_the_linker_s_options_are_heard(sources):
    parts = sources[1]("parts")
    assert parts.link["usermod_common"] == ["-Wl,--wrap=gc_get_max_new_split"]


def test_cmake_files_that_cannot_be_read(sources):
    write, parts = sources
    write({"idf/components/vfs/CMakeLists.txt": "no_such_command()\n"})
    with pytest.raises(PartsError, match="no_such_command"):
        parts("parts")


# --- what is missing is said in one line


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "MICROPY_DIR is not set"),
        ({"MICROPY_DIR": "no-such"}, "is not a MicroPython checkout"),
        ({"MICROPY_DIR": "mp"}, "IDF_PATH is not set"),
        ({"MICROPY_DIR": "mp", "IDF_PATH": "mp"}, "is not ESP-IDF"),
        ({"MICROPY_DIR": "mp", "IDF_PATH": "old"}, "is ESP-IDF 5.3; docs/hardware.md names"),
        (
            {"MICROPY_DIR": "mp", "IDF_PATH": "idf", "EXTRA_COMPONENTS": "no-such"},
            "EXTRA_COMPONENTS=no-such is no folder",
        ),
    ],
)
def test_refusals(tmp_path, given, text):
    for name, minor in (("idf", 4), ("old", 3)):
        version = tmp_path / name / "tools/cmake/version.cmake"
        version.parent.mkdir(parents=True)
        version.write_text(f"set(IDF_VERSION_MAJOR 5)\nset(IDF_VERSION_MINOR {minor})\n")
    (tmp_path / "mp/ports/esp32").mkdir(parents=True)
    (tmp_path / "mp/ports/esp32/Makefile").write_text("")
    (tmp_path / "mp/py").mkdir()
    (tmp_path / "mp/py/mpconfig.h").write_text(
        "#define MICROPY_VERSION_MAJOR 1\n#define MICROPY_VERSION_MINOR 25\n"
    )
    done = subprocess.run(
        [sys.executable, ROOT / "tools/check_idf.py", "--build", tmp_path / "build"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"} | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
