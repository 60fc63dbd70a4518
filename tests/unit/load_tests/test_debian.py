import pytest

from tests.real_parts.debian import first_choices, missing_libraries


def test_installed_packages_are_not_asked_for_again() -> None:
    assert first_choices("libc6 (>= 2.34), zlib1g (>= 1:1.1.4)", {"libc6"}) == ["zlib1g"]


def test_an_installed_alternative_is_enough() -> None:
    assert first_choices("libsystemd0 | libelogind0", {"libelogind0"}) == []


def test_the_first_alternative_is_taken_where_none_is_installed() -> None:
    assert first_choices("libluajit-5.1-2 | libluajit2-5.1-2") == ["libluajit-5.1-2"]


def test_libraries_come_first() -> None:
    assert first_choices("adduser, libssl3:any (>= 3.0)") == ["libssl3", "adduser"]


@pytest.mark.parametrize("depends", ["", ", "])
def test_a_package_may_depend_on_nothing(depends: str) -> None:
    assert first_choices(depends) == []


def test_libraries_that_the_loader_does_not_find_are_named() -> None:
    told = "\tlinux-vdso.so.1 (0x0)\n\tlibz.so.1 => /lib/libz.so.1 (0x1)\n\tlibx.so.2 => not found"
    assert missing_libraries(told) == ["libx.so.2"]


def test_a_static_program_misses_nothing() -> None:
    assert missing_libraries("\tnot a dynamic executable") == []
